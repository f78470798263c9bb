"""Everything that touches LAMMPS data."""
