"""A failure on any rank ends every rank soon, with the reason on the screen and in the log."""

import os
import signal
import subprocess
import time

import pytest
from programs import LMP, MPIRUN

STYLE = "pair_style mliap unified lj.model 0\n"
COEFF = "pair_coeff * * Ar\n"
# Slow: the shaken crystal must not fly apart while it waits for the fault.
RUN = "timestep 1e-6\nfix 1 all nve\nrun 100\n"
SECONDS = 10

# Where the deliberate exception is raised; the potential has one forward and one reverse exchange.
PLACES = ["create", "elements", "compute", "before exchange", "between exchanges", "report"]


def failed(run, *words):
    """Check that a run ended with one reason that has these words, on the screen and in the log."""
    assert run.returncode != 0
    [line] = [line for line in run.log.splitlines() if line.startswith("ERROR")]
    for word in words:
        assert word in line
    assert run.out.count(line) == 1


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("kind", PLACES)
def test_python_exception_on_one_rank_of_four(run_lammps, classical, argon, kind, rank):
    fault = {"kind": kind, "rank": rank, "step": 0 if kind in ("create", "elements") else 17}
    env = classical(cutoff=5.0, hops=2, fault=fault)
    began = time.monotonic()
    run = run_lammps(argon + STYLE + COEFF + RUN, 4, env, timeout=60)
    assert time.monotonic() - began < SECONDS
    failed(run, f"RuntimeError: deliberate fault in {kind}")
    assert run.out.count("Traceback (most recent call last)") == 1
    if kind not in ("create", "elements"):
        assert f"(rank {rank} of 4, " in run.log
    if kind in PLACES[2:5]:
        assert "step 16)" in run.log


@pytest.mark.parametrize("ranks", [1, 4])
def test_exception_on_every_rank_is_told_once(run_lammps, classical, argon, ranks):
    env = classical(cutoff=5.0, fault={"kind": "compute", "step": 3})
    failed(run_lammps(argon + STYLE + COEFF + RUN, ranks, env, timeout=60), "rank 0 of", "step 2")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nan", ["non-finite force between atom IDs ", "Angstrom apart"]),
        ("nan energy", ["non-finite energy of atom ID "]),
        ("forget", ["non-finite force between atom IDs "]),
    ],
)
@pytest.mark.parametrize("ranks", [1, 4])
def test_non_finite_results_name_the_atom(run_lammps, classical, argon, kind, words, ranks):
    rank = ranks // 2
    env = classical(cutoff=5.0, hops=2, fault={"kind": kind, "rank": rank, "step": 5})
    run = run_lammps(argon + STYLE + COEFF + RUN, ranks, env, timeout=60)
    failed(run, *words, f"rank {rank} of {ranks}, step 4")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("width", ["forward exchange 1 has rows of 0 bytes, declared were 8"]),
        ("apart", ["exchange row_index[", "not next to the row before it"]),
        ("beyond", ["exchange row_index[", ", there are "]),
        ("skip", ["before it had done every exchange"]),
    ],
)
def test_wrong_exchanges_are_refused(run_lammps, classical, argon, kind, words):
    env = classical(cutoff=5.0, hops=2, fault={"kind": kind, "rank": 1})
    failed(run_lammps(argon + STYLE + COEFF + RUN, 2, env, timeout=60), *words)


def test_killed_process_ends_the_others(run_lammps, classical, argon):
    env = classical(cutoff=5.0, hops=2, fault={"kind": "kill", "rank": 3, "step": 9})
    began = time.monotonic()
    run = run_lammps(argon + STYLE + COEFF + RUN, 4, env, timeout=60)
    assert run.returncode != 0
    assert time.monotonic() - began < SECONDS


def test_partitions_end_together(run_lammps, classical, argon):
    """Two worlds of two ranks: rank 1 of one world fails, mpirun ends both."""
    env = classical(cutoff=5.0, hops=2, fault={"kind": "compute", "rank": 1, "step": 4})
    script = argon + "variable w world a b\nlog log.$w\n" + STYLE + COEFF + RUN
    began = time.monotonic()
    run = run_lammps(script, 4, env, timeout=60, arguments=("-partition", "2x2"))
    assert run.returncode != 0
    assert time.monotonic() - began < SECONDS
    assert "RuntimeError: deliberate fault in compute" in run.out
    logs = "".join((run.folder / f"log.{name}").read_text() for name in "ab")
    assert "RuntimeError: deliberate fault in compute (rank 1 of 2, step 3)" in logs


def test_partitions_have_their_own_communicator(run_lammps, classical, argon):
    env = classical(cutoff=5.0, hops=2)
    script = argon + "variable w world a b\nlog log.$w\n" + STYLE + COEFF + "run 3\n"
    run = run_lammps(script, 4, env, timeout=60, arguments=("-partition", "2x2"))
    assert run.returncode == 0, run.out
    tables = [(run.folder / f"log.{w}").read_text().split("Step")[1].split("Loop")[0] for w in "ab"]
    assert tables[0] == tables[1]


def send_to_group(process):
    os.killpg(process.pid, signal.SIGINT)


def send_to_mpirun(process):
    process.send_signal(signal.SIGINT)


@pytest.mark.parametrize("interrupt", [send_to_group, send_to_mpirun])
def test_interrupt_ends_the_run(classical, argon, tmp_path, interrupt):
    """Ctrl-C reaches the whole process group, a scheduler's signal the launcher; all ranks end."""
    env = {**os.environ, **classical(cutoff=5.0, hops=2)}
    (tmp_path / "in.test").write_text(
        argon + STYLE + COEFF + "thermo_modify flush yes\n" + RUN.replace("run 100", "run 1000000")
    )
    command = [MPIRUN, "-np", "2", LMP, "-in", "in.test"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=tmp_path, env=env, start_new_session=True, **quiet)
    try:
        log = tmp_path / "log.lammps"
        deadline = time.monotonic() + 60
        while not (log.is_file() and "Per MPI rank" in log.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        interrupt(process)
        assert process.wait(SECONDS) != 0
        with pytest.raises(ProcessLookupError):  # nobody is left of the group
            os.killpg(process.pid, 0)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
