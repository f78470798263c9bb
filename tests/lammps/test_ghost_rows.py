"""Rows of features: one for each needed atom of another rank, however many ghosts it has."""

import re

import numpy as np
import pytest
from results import OUTPUT, assert_same, results

TWO_HOPS = {"cutoff": 5.0, "hops": 2}
MLIAP = "pair_style mliap unified lj.model 0\npair_coeff * * Ar\n"
# LAMMPS's lists and ghosts then reach further than the model.
WIDE = "pair_style hybrid/overlay zero 9.0 mliap unified lj.model\npair_coeff * * zero\n"
WIDE += "pair_coeff * * mliap Ar\n"
TILED = "comm_style tiled\nbalance 1.0 rcb\n"

# Two ranks, an atom each; the second flies towards the first.
TWO_ATOMS = """
units metal
boundary f p p
region box block -12 12 0 20 0 20
create_box 1 box
create_atoms 1 single -4 10 10
create_atoms 1 single 4 10 10
mass 1 40
velocity all set 0 0 0
group flying id 2
velocity flying set -20 0 0
neighbor 0.3 bin
fix 1 all nve
timestep 0.01
thermo_style custom step pe
"""


@pytest.fixture
def rows(run_lammps, classical):
    """Return a function: input, ranks -> own and others' rows of each rank, and LAMMPS's ghosts."""

    def run(script, ranks):
        done = run_lammps(script + "run 0\n", ranks, classical(**TWO_HOPS, tell=True))
        assert done.returncode == 0, done.out
        found = re.findall(r"rows (\d+) (\d+)", done.out)
        assert len(found) == ranks
        [ghosts] = re.findall(r"Nghost: +(\S+) ave", done.out)
        return sorted((int(own), int(others)) for own, others in found), float(ghosts)

    return run


def test_one_domain_has_its_own_rows_only(rows, argon):
    assert rows(argon + MLIAP, 1)[0] == [(500, 0)]


@pytest.mark.parametrize("layout", ["", TILED])
@pytest.mark.parametrize("ranks", [2, 4])
def test_rows_do_not_grow_with_the_ghosts(rows, prepare, argon, ranks, layout):
    start = prepare(argon) + layout
    needed, ghosts = rows(start + MLIAP, ranks)
    assert all(others < min(ghosts, 501 - own) for own, others in needed)
    for style in ("comm_modify cutoff 14\n" + MLIAP, WIDE):
        wide, more_ghosts = rows(start + style, ranks)
        assert more_ghosts > 1.3 * ghosts
        # Some come another way then, through a rank that does not need them itself.
        assert np.allclose(wide, needed, rtol=0.03)


@pytest.mark.parametrize("layout", ["", TILED])
@pytest.mark.parametrize("style", [MLIAP, "comm_modify cutoff 14\n" + MLIAP, WIDE])
@pytest.mark.parametrize("ranks", [2, 4])
def test_moving_atoms_keep_their_rows(run_lammps, prepare, classical, argon, style, ranks, layout):
    """Atoms change ranks and neighbours; lists, and with them rows, are made anew meanwhile."""
    start = prepare(argon) + "velocity all create 600 4711 loop all\nfix 1 all nve\n"
    run = OUTPUT + "neighbor 0.5 bin\ntimestep 0.005\nrun 40\n"
    env = classical(**TWO_HOPS, sigma=2.0)
    done = run_lammps(start + MLIAP + run, 1, env)
    truth = results(done)
    assert int(re.search(r"Neighbor list builds = (\d+)", done.log)[1]) > 2
    assert_same(results(run_lammps(start + layout + style + run, ranks, env)), truth, 1e-7)


def test_a_neighbour_without_a_row_ends_the_run(run_lammps, classical):
    """It came from beyond the skin, unseen: never a pair that is left out."""
    env = classical(**TWO_HOPS)
    rarely = "neigh_modify every 1000 delay 1000 check no\n"
    run = run_lammps(TWO_ATOMS + WIDE + rarely + "run 30\n", 2, env, timeout=30)
    assert run.returncode != 0
    [line] = [line for line in run.log.splitlines() if line.startswith("ERROR")]
    assert "has come into the cutoff from beyond the skin" in line
    assert "neigh_modify every 1 delay 0 check yes" in line
    often = run_lammps(TWO_ATOMS + WIDE + "neigh_modify delay 0\nrun 30\n", 2, env, timeout=30)
    assert often.returncode == 0, often.out
    assert not np.isclose(often.thermo()[-1]["PotEng"], 0.0, atol=1e-6)
