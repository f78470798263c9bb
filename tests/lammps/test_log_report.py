"""The lines at the end of a run: they add up to what LAMMPS measures."""

import re

import pytest
from small import make_model, write_model

from lammps_mace.coupling import log_report
from lammps_mace.coupling.log_report import read_compilations, read_peak_memory, read_stages

STEPS, ATOMS = 20, 64
SCRIPT = f"""
units metal
lattice diamond 5.43
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 28
pair_style mliap unified x.model 0
pair_coeff * * Si
run 0
run {STEPS}
"""
SECTIONS = ["Neighbors", "Comm", "Inner layers", "Last layer", "Gradients", "Forces"]
ROW = r"^{} +\| *(\S+) *\| *(\S+) *\| *(\S+) *\| *(\S+)"


@pytest.fixture
def run(run_lammps, tmp_path):
    """Return a function that gives the log of a run on so many ranks."""
    write_model(tmp_path / "x.model", make_model("float32"))

    def on(ranks):
        done = run_lammps(SCRIPT, ranks)
        assert done.returncode == 0, done.out
        return done.log

    return on


def row(log, name):
    """Return the numbers of the last row of this name: seconds min, avg, max, and percent."""
    return [float(number) for number in re.findall(ROW.format(name), log, re.M)[-1]]


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_part_of_pair(run, ranks):
    log = run(ranks)
    first, _, table = log.rpartition("lammps-mace: time of the model, a part of Pair: ")
    # The step that sets up the second run too; the first run's only step compiled.
    assert table.startswith(f"{STEPS + 1} steps, {ATOMS} atoms\nSection")
    assert "time of the model" not in first
    assert re.search(r"step 1; steps that compiled, or read compiled code, took \S+ s\n", first)
    ours, _, lammps = table.partition("MPI task timing")
    rows = [row(ours, name) for name in SECTIONS]
    assert sum(percent for *_, percent in rows) == pytest.approx(100, abs=0.05)
    assert all(least <= mean <= most for least, mean, most, _ in rows)
    if ranks == 1:  # several wait for each other in the step that sets up, which is not in Pair
        total, pair = sum(mean for _, mean, *_ in rows), row(lammps, "Pair")[1]
        assert 0.5 * pair < total < 1.5 * (STEPS + 1) / STEPS * pair
    assert list(read_stages(log)) == SECTIONS
    shares = [1e6 * ranks * mean / (ATOMS * (STEPS + 1)) for _, mean, *_ in rows]
    assert list(read_stages(log).values()) == pytest.approx(shares, abs=0.02, rel=1e-3)
    assert read_compilations(log) == {"step": 1}
    assert 50 < read_peak_memory(log) < 5000


def test_a_log_without_them():
    log = "Loop time of 1\nSection |  min time\nPair    | 1 | 1 | 1 | 0.0 | 99.98\n"
    assert (read_stages(log), read_compilations(log), read_peak_memory(log)) == ({}, {}, 0)


def test_ranks_whose_steps_run_in_other_ways():
    """XLA may exchange in another thread on one rank alone: then its step is many programs."""
    ways = {"forward 1": 1, "backward 1": 2, "last layer": 1}, {"step": 3}
    every = [log_report._Share({}, 1, 4, 0, way, {}) for way in ways]
    line = f"{log_report.PREFIX} {log_report._compilations(every)}\n"
    assert read_compilations(line) == {**ways[0], **ways[1]}
    every.reverse()
    line = f"{log_report.PREFIX} {log_report._compilations(every)}\n"
    assert read_compilations(line) == {**ways[0], **ways[1]}
