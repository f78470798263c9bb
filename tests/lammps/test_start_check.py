"""The start check: an MPI that moves data wrongly stops the run at step 0, with ranks and IDs."""

import re

import pytest
from results import OUTPUT, assert_same, results

COEFF = "pair_coeff * * Ar\n"
STYLE = "pair_style mliap unified lj.model 0\n" + COEFF
UNCHECKED = "pair_style mliap unified lj.model 0 start_check no\n" + COEFF
TILED = "comm_style tiled\nbalance 1.0 rcb\n"
TWO_HOPS = {"cutoff": 5.0, "hops": 2}

WAYS = ("forward", "reverse")
# What a rank's messages suffer, and what the user reads.
GHOST = r"forward: the ghost of atom ID \d+ on rank \d got the row of "
COUNT = (
    r"reverse: atom ID \d+ received the rows of \d+ ghosts; it has \d+ ghosts, the first on rank \d"
)
SAID = r"forward: the ghost of atom ID \d+ got the row of \d+: .*\(rank \d of \d, rows of ghosts\)"
BREAKS = {
    "ghosts lost": SAID,
    "ghosts shifted": SAID,
    "ghosts doubled": SAID,
    "request lost": GHOST + r"\d+ from its owner, rank 0",
    "request shifted": GHOST + r"\d+ from its owner, rank 0",
    "request doubled": "a rank was asked for atoms that it does not have",
    "forward lost": GHOST + "0 from its owner, rank 1",
    "forward shifted": GHOST + r"\d+ from its owner, rank \d",
    "forward doubled": GHOST + r"\d+ from its owner, rank 1",
    "reverse lost": COUNT + r"; its owner is rank \d",
    "reverse shifted": r"reverse: atom ID \d+ on rank \d received a sum that is not that of",
    "reverse doubled": COUNT + r"; its owner is rank \d",
}
# The same for memory that ranks share.
BREAKS |= {f"room_{what}": words for what, words in BREAKS.items() if what.split()[0] in WAYS}
FOUND_BY_OWNERS = ("ghosts lost", "ghosts shifted", "ghosts doubled", "request doubled")


@pytest.mark.parametrize(("ranks", "layout"), [(2, ""), (4, TILED)])
@pytest.mark.parametrize("what", BREAKS)
def test_broken_mpi_stops_at_step_0(run_lammps, classical, argon, broken_mpi, what, ranks, layout):
    env = {**classical(**TWO_HOPS), **broken_mpi(what)}
    run = run_lammps(argon + layout + STYLE + "run 5\n", ranks, env, timeout=30)
    assert run.returncode != 0
    [line] = [line for line in run.log.splitlines() if line.startswith("ERROR")]
    finder = "the check of ghosts' owners" if what in FOUND_BY_OWNERS else "the start check"
    assert f"{finder} found that this LAMMPS or its MPI library moves data wrongly" in line
    assert re.search(BREAKS[what], line)
    assert not run.thermo()


def test_owners_are_checked_always(run_lammps, classical, argon, broken_mpi):
    """Whom to ask for a row is told by IDs whenever LAMMPS makes new ghosts, checked or not."""
    env = {**classical(**TWO_HOPS), **broken_mpi("ghosts shifted")}
    run = run_lammps(argon + UNCHECKED + "run 5\n", 2, env, timeout=30)
    assert run.returncode != 0
    assert re.search(SAID, run.log)


@pytest.mark.parametrize("layout", ["", TILED])
def test_switched_off_the_numbers_are_wrong(
    run_lammps, prepare, classical, argon, broken_mpi, layout
):
    """Control: without the check the same MPI gives a wrong answer and nobody says so."""
    start, env = prepare(argon), classical(**TWO_HOPS)
    truth = results(run_lammps(start + layout + STYLE + OUTPUT + "run 0\n", 2, env))
    broken = {**env, **broken_mpi("reverse lost")}
    wrong = results(run_lammps(start + layout + UNCHECKED + OUTPUT + "run 0\n", 2, broken))
    with pytest.raises(AssertionError):
        assert_same(wrong, truth, 1e-3)


def test_checked_again_when_the_decomposition_changes(run_lammps, classical, argon):
    """comm_style after pair_style replaces LAMMPS's Comm; owners are then told by the new one."""
    env = classical(**TWO_HOPS)
    script = argon + STYLE + "thermo_style custom step pe\nrun 0\n" + TILED + "run 0\n"
    script += "run 0\n"
    run = run_lammps(script, 4, env)
    assert run.returncode == 0, run.out
    energies = [row["PotEng"] for row in run.thermo()]
    assert energies == pytest.approx([energies[0]] * 3, rel=1e-9)
