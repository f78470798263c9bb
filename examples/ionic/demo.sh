#!/bin/sh
# Melt NaCl with MACE and with the classical potential on two ranks, then draw both into melt.png.
set -e
mpirun -np 2 lmp -in in.melt
mpirun -np 2 lmp -in in.melt -var potential classical
python plot.py
echo "The picture is examples/ionic/melt.png"
