"""Faults of every kind, on every rank, at random steps: a clean end soon, and no wrong number.

LAMMPS_MACE_FAULTS (default 10) says how many. The seconds from a fault to the end of all ranks are
a property of each test (`pytest -o junit_family=xunit1 --junit-xml=FILE`).
"""

import os
import random
import time

import pytest

COUNT = int(os.environ.get("LAMMPS_MACE_FAULTS", "10"))
N_STEPS = 40
SCRIPT = (
    "pair_style mliap unified lj.model 0\npair_coeff * * Ar\ntimestep 1e-6\nfix 1 all nve\n"
    "thermo_style custom step pe press\nthermo_modify format float %.15g flush yes\nthermo 1\n"
    f"run {N_STEPS}\n"
)

# What is raised is told as the reason; a process that is gone cannot tell.
TOLD = {
    "create": "deliberate fault in create",
    "compute": "deliberate fault in compute",
    "before exchange": "deliberate fault in before exchange",
    "between exchanges": "deliberate fault in between exchanges",
    "nan": "non-finite force between atom IDs",
    "nan energy": "non-finite energy",
    "forget": "non-finite force between atom IDs",
    "width": "forward exchange 1 has rows of 0 bytes",
    "skip": "before it had done every exchange",
    "sys.exit": "SystemExit",
    "MemoryError": "MemoryError",
    "device memory": "RESOURCE_EXHAUSTED",
    "no memory": "MemoryError",
}
SILENT = ("kill", "segfault", "terminate", "interrupt", "exit")
ONE_RANK_HAS_NO = ("width", "skip")  # exchange


def make_fault(index):
    """Return the number of ranks and the fault; kinds in turn, the rest at random."""
    rng = random.Random(index)
    kinds = [*TOLD, *SILENT]
    kind = kinds[index % len(kinds)]
    ranks = rng.randint(2 if kind in ONE_RANK_HAS_NO else 1, 4)
    step = 0 if kind == "create" else rng.randint(2, N_STEPS - 1)
    return ranks, {"kind": kind, "rank": rng.randrange(ranks), "step": step}


def energies(text):
    """Return PotEng by step of what was printed before the end."""
    rows = [line.split() for line in text.splitlines()]
    table = [row for row in rows if len(row) == 3 and row[0].isdigit()]
    return {int(step): float(energy) for step, energy, _ in table}


@pytest.fixture(scope="module")
def truth():
    """Return energies by step of undisturbed runs, by number of ranks, filled as needed."""
    return {}


# A stride that mixes the kinds: the first ten are not of the first ten kinds.
@pytest.mark.parametrize("index", [(7 * k) % 101 for k in range(COUNT)])
def test_ends_soon_and_tells_why(run_lammps, classical, argon, truth, record_property, index):
    ranks, fault = make_fault(index)
    start = argon + SCRIPT
    if ranks not in truth:
        run = run_lammps(start, ranks, classical(cutoff=5.0, hops=2))
        truth[ranks] = energies(run.log)
        assert len(truth[ranks]) == N_STEPS + 1, run.out
    run = run_lammps(start, ranks, classical(cutoff=5.0, hops=2, fault=fault), timeout=30)
    record_property("seconds", time.time() - float((run.folder / "fault.time").read_text()))
    record_property("fault", f"{fault['kind']} on rank {fault['rank']} of {ranks}")
    assert run.returncode != 0, fault
    if fault["kind"] in TOLD:
        [line] = [line for line in run.log.splitlines() if line.startswith("ERROR")]
        assert TOLD[fault["kind"]] in line
    seen = energies(run.log)
    assert max(seen, default=-1) < max(fault["step"], 1)
    assert seen == {step: pytest.approx(truth[ranks][step], rel=1e-10) for step in seen}
