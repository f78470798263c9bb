"""The calculator of ASE: structures evaluated by the engine that runs in LAMMPS."""
