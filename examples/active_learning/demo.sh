#!/bin/sh
# Heat silicon with a committee that knows no liquid, on two ranks, and draw deviation and true error into active.png.
set -e
mpirun -np 2 lmp -in in.heat
python analyze.py
echo "The picture is examples/active_learning/active.png"
