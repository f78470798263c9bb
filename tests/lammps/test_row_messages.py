"""Rows between ranks: in memory that they share or in messages, the numbers are the same."""

import numpy as np
import pytest
from programs import LMP
from results import OUTPUT, results

MLIAP = "pair_style mliap unified lj.model 0 start_check no\npair_coeff * * Ar\n"
RANKS = pytest.mark.parametrize("ranks", [2, 4])
# Odd float32 rows; atoms change ranks, so that what a rank sends changes.
TWO_HOPS = {"cutoff": 5.0, "hops": 2, "sigma": 2.0, "dtype": "float32", "pad": 2}
DYNAMICS = MLIAP + "velocity all create 600 4711 loop all\nfix 1 all nve\nneighbor 0.5 bin\n"
DYNAMICS += "timestep 0.005\n" + OUTPUT + "run 20\n"
COUNT = "shell . ./count.sh\n"
MESSAGES = {"LAMMPS_MACE_SHARED_MEMORY": "0"}


def are_equal(got, expected):
    """To the last bit: rows are added in one order, and forces too (in LAMMPS's brick layout)."""
    return np.array_equal(got[0], expected[0]) and got[1] == expected[1]


@RANKS
def test_shared_or_sent_the_numbers_are_the_same(
    run_lammps, prepare, classical, argon, broken_mpi, ranks
):
    script, env = prepare(argon) + DYNAMICS, classical(**TWO_HOPS)

    def outcome(variables):
        return results(run_lammps(script, ranks, {**env, **variables}))

    truth = outcome(MESSAGES)
    assert are_equal(outcome({}), truth)
    # Rank 1 sends messages, of four ranks the others share.
    for refusal in ("none", "full", "unseen"):
        assert are_equal(outcome(broken_mpi(f"room {refusal}")), truth), refusal
    # Control: who shares reads what is there, who sends does not look.
    lost = broken_mpi("room_forward lost")
    assert not are_equal(outcome(lost), truth)
    assert are_equal(outcome({**lost, **MESSAGES}), truth)


@RANKS
def test_more_atoms_need_more_room(run_lammps, classical, argon, ranks):
    few, many = "region few block 0 5 0 5 0 1\n", "region many block 0 5 0 5 1 5\n"
    start, end = argon.split("create_atoms 1 box\n")
    script = start + few + many + "create_atoms 1 region few\n" + end + MLIAP + "run 0\n"
    script += "create_atoms 1 region many\ndisplace_atoms all random 0.1 0.1 0.1 4711\n"
    script += OUTPUT + "run 0\n"
    env = classical(**TWO_HOPS)
    truth = results(run_lammps(script, ranks, {**env, **MESSAGES}))
    assert are_equal(results(run_lammps(script, ranks, env)), truth)


@pytest.fixture
def rooms(run_lammps, classical, tmp_path):
    """Runs a script on two ranks; returns the rooms (open, mapped) of rank 0 at each COUNT."""
    (tmp_path / "count.sh").write_text(
        "unset LD_PRELOAD\n"
        "echo rooms $(ls -l /proc/$PPID/fd | grep -c memfd:lammps-mace) "
        "$(grep -c memfd:lammps-mace /proc/$PPID/maps)\n"
    )

    def run(script, env=None):
        done = run_lammps(script, 2, {**classical(**TWO_HOPS), **(env or {})})
        assert done.returncode == 0, done.out
        return [line[6:] for line in done.out.splitlines() if line.startswith("rooms ")]

    return run


def test_rooms_go_with_their_pair_style(rooms, argon):
    once = argon + MLIAP + "run 0\n" + COUNT + "clear\n" + COUNT
    # One that is its own, which it has open, and one of the other rank.
    assert rooms(once * 3) == ["1 2", "0 0"] * 3


@pytest.mark.parametrize("refusal", ["none", "full", "unseen"])
def test_what_one_rank_refuses_is_not_shared(rooms, argon, broken_mpi, refusal):
    """Else the refusals above would test nothing."""
    assert rooms(argon + MLIAP + "run 0\n" + COUNT, broken_mpi(f"room {refusal}")) == ["1 1"]


def test_a_limit_of_file_sizes_ends_nothing(run_lammps, prepare, classical, argon, tmp_path):
    """The kernel would kill a rank for such memory, which it takes for a file."""
    limited = tmp_path / "limited"
    limited.write_text(f'#!/bin/sh\nulimit -f 65536\nexec {LMP} "$@"\n')
    limited.chmod(0o755)
    wide = classical(**{**TWO_HOPS, "pad": 20000})
    script = prepare(argon) + MLIAP + OUTPUT + "run 0\n"
    truth = results(run_lammps(script, 2, {**wide, **MESSAGES}))
    assert are_equal(results(run_lammps(script, 2, wide, program=limited)), truth)
