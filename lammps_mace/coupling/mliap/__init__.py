"""LAMMPS's own ML-IAP interface: the second way in, for a LAMMPS built with Python."""
