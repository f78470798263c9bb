"""`lammps-mace bench`: timings of the real LAMMPS as a table and JSON, and what it refuses."""

import json

import ase.build
import ase.io
import pytest
import quick_xla
from small import make_model, write_model

from lammps_mace.cli.main import main

STAGES = ["Neighbors", "Comm", "Inner layers", "Last layer", "Gradients", "Forces"]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Return a function that times x.model, two layers, into t.json; its exit status."""
    monkeypatch.setenv("XLA_FLAGS", quick_xla.FLAGS)
    path = write_model(tmp_path / "x.model", make_model("float32"))

    def run(*arguments):
        return main(["bench", str(path), "--json", str(tmp_path / "t.json"), *arguments])

    return run


def rows(out):
    """Return atoms, ranks, microseconds and MiB of the table's rows."""
    return [[float(word) for word in line.split()[:4]] for line in out.splitlines()[1:]]


def test_table_and_json(bench, tmp_path, capsys):
    assert bench("--atoms", "32,108", "--ranks", "1,2", "--steps", "3") == 0
    timings = json.loads((tmp_path / "t.json").read_text())
    shapes = [(timing["atoms"], timing["ranks"], timing["steps"]) for timing in timings]
    assert shapes == [(32, 1, 3), (32, 2, 3), (108, 1, 3), (108, 2, 3)]
    for timing in timings:
        assert timing["rank_microseconds"] == timing["ranks"] * timing["microseconds"]
        assert list(timing["stages"]) == STAGES
        assert min(timing["stages"].values()) >= 0 < timing["stages"]["Last layer"]
        assert timing["compilations"] == {"step": 1}
    shown = [
        [timing[name] for name in ("atoms", "ranks", "microseconds", "peak_mib")]
        for timing in timings
    ]
    assert rows(capsys.readouterr().out) == [pytest.approx(row, abs=0.1) for row in shown]


def test_a_structure(bench, tmp_path, capsys):
    crystal = ase.build.bulk("Si", cubic=True) * (2, 1, 1)
    crystal.pbc = (True, True, False)
    ase.io.write(tmp_path / "slab.xyz", crystal)
    assert bench("--structure", str(tmp_path / "slab.xyz"), "--steps", "1") == 0
    [(atoms, ranks, *_)] = rows(capsys.readouterr().out)
    assert (atoms, ranks) == (16, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--atoms 0", "--atoms='0': give positive whole numbers"),
        ("--atoms 8,x", "--atoms='8,x': give positive whole numbers"),
        ("--ranks 1,-2", "--ranks='1,-2': give positive whole numbers"),
        ("--steps 0", "--steps=0: time at least one step"),
        ("--rattle -0.1", "--rattle=-0.1: give a length"),
        ("--rattle nan", "--rattle=nan: give a length"),
        ("--structure no.xyz", "structure 'no.xyz' does not exist"),
        ("--json no/t.json", "--json='no/t.json': No such file or directory; name a file"),
    ],
)
def test_refusals(bench, arguments, words, capsys):
    """Before anything is timed."""
    assert bench(*arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"lammps-mace bench: {words}" in err


def test_a_failure_loses_no_timing(bench, tmp_path, monkeypatch, capsys):
    (tmp_path / "mpirun").write_text("#!/bin/sh\necho no slots\nexit 1\n")
    (tmp_path / "mpirun").chmod(0o755)
    monkeypatch.setattr(
        "lammps_mace.cli.lammps_process.find_mpirun", lambda: str(tmp_path / "mpirun")
    )
    assert bench("--atoms", "32", "--ranks", "1,2", "--steps", "1") == 2
    out, err = capsys.readouterr()
    [kept] = json.loads((tmp_path / "t.json").read_text())
    assert (kept["ranks"], len(rows(out))) == (1, 1)
    assert "no slots" in err
