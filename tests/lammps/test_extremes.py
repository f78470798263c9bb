"""Atoms as no training set has them: very hot, or put on top of each other. No number may be NaN.

LAMMPS_MACE_EXTREME_STEPS (default 300) says how long each run is.
"""

import math
import os
from pathlib import Path

import pytest

STEPS = int(os.environ.get("LAMMPS_MACE_EXTREME_STEPS", "300"))
SILICON = Path(__file__).parents[2] / "examples" / "silicon" / "silicon.model"
ATOMS = f"""
units metal
lattice diamond 5.431
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 28.0855
pair_style mliap unified "{SILICON}" 0
pair_coeff * * Si
timestep 0.001
thermo 10
"""
HOT = f"""
velocity all create 20000 4711
fix 1 all nvt temp 20000 20000 0.05
run {STEPS}
"""
# A place at random, also within 0.1 Angstrom of an atom.
INSERT = f"""
velocity all create 1000 4711
fix 1 all {{integrator}}
variable i loop {STEPS // 10}
label next
variable seed equal 1000+$i
create_atoms 1 random 1 ${{{{seed}}}} box
run 10
next i
jump SELF next
"""
# How a run may end early: LAMMPS's own end, or ours.
STOPS = ("Lost atoms", "Non-numeric", "non-finite", "in the same place", "moved")


def finite(run):
    """Check that all numbers of the thermo output are finite; return how many lines there are."""
    rows = run.thermo()
    assert all(math.isfinite(value) for row in rows for value in row.values())
    return len(rows)


@pytest.mark.parametrize("ranks", [1, 2])
def test_twenty_thousand_kelvin(run_lammps, ranks):
    run = run_lammps(ATOMS + HOT, ranks, timeout=120 + STEPS)
    assert run.returncode == 0, run.out
    assert finite(run) == STEPS // 10 + 1
    assert run.thermo()[-1]["Temp"] > 10_000


def test_atoms_at_random_places(run_lammps):
    """With a limit to what an atom moves in a step, the run goes on to its end."""
    script = ATOMS + INSERT.format(integrator="nve/limit 0.1")
    run = run_lammps(script, timeout=120 + STEPS)
    assert run.returncode == 0, run.out
    assert finite(run) == 2 * (STEPS // 10)


@pytest.mark.parametrize("ranks", [1, 2])
def test_atoms_at_random_places_fly_apart(run_lammps, ranks):
    """Without it atoms leave the box: LAMMPS says so."""
    run = run_lammps(ATOMS + INSERT.format(integrator="nve"), ranks, timeout=120 + STEPS)
    finite(run)
    if run.returncode != 0:
        [line] = [line for line in run.log.splitlines() if line.startswith("ERROR")]
        assert any(words in line for words in STOPS), line
