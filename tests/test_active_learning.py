"""The example of active learning: does its committee know where it is wrong?"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from example_runs import ENVIRONMENT, EXAMPLES
from programs import LMP

from lammps_mace.modelfile import load_models, write_committee

ACTIVE = EXAMPLES / "active_learning"
CORRELATION = 0.6  # per atom and per frame, of numbers and of ranks
STOP = 0.5  # eV/Å
STEPS = 2000  # 4 ps; the crystal has molten then


def heat(folder, *variables):
    """Run in.heat with 64 atoms."""
    shutil.copy(ACTIVE / "in.heat", folder)
    command = [LMP, "-in", "in.heat", "-screen", "none", "-var", "cells", "2"]
    words = [word for name, value in variables for word in ("-var", name, str(value))]
    subprocess.run([*command, *words], cwd=folder, env=ENVIRONMENT, check=True)
    table = np.loadtxt(folder / "devi.out", ndmin=2)
    # The first step of the second run is the last one of the first.
    return table[np.unique(table[:, 0], return_index=True)[1]]


def analyze(folder):
    """Return what analyze.py prints: four correlations, frames chosen, all; whether it melts."""
    command = [sys.executable, ACTIVE / "analyze.py", "--threshold", str(STOP)]
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    numbers = re.findall(r"(\S+) per (?:atom|frame)", done.stdout)
    chosen, of = re.search(r"(\d+) of (\d+) frames", done.stdout).groups()
    liquid = "liquid from" in done.stdout
    assert liquid != ("no liquid" in done.stdout)
    return [float(number) for number in numbers], int(chosen), int(of), liquid


@pytest.fixture(scope="module")
def heated(tmp_path_factory):
    """Return the folder of a run that melts 64 atoms, and its deviations."""
    folder = tmp_path_factory.mktemp("heated")
    for path in ACTIVE.glob("committee.*"):
        shutil.copy(path, folder)
    return folder, heat(folder, ("steps", STEPS))


def test_deviation_tells_the_error(heated):
    folder, table = heated
    correlations, chosen, of, liquid = analyze(folder)
    assert liquid
    assert len(correlations) == 4
    assert min(correlations) > CORRELATION
    assert of == len(table)
    assert chosen == (table[:, 4] > STOP).sum()
    assert 0 < chosen < of
    candidates = ase.io.read(folder / "candidates.xyz", index=":")
    largest = [frame.arrays["force_deviation"].max() for frame in candidates]
    np.testing.assert_allclose(largest, table[table[:, 4] > STOP, 4], rtol=1e-6)
    assert (folder / "active.png").read_bytes().startswith(b"\x89PNG")


def test_stop(heated, tmp_path):
    """The run ends with the first line above the limit, and the frame is written."""
    _, table = heated
    for path in ACTIVE.glob("committee.*"):
        shutil.copy(path, tmp_path)
    stopped = heat(tmp_path, ("steps", STEPS), ("stop", STOP))
    first = np.argmax(table[:, 4] > STOP)
    np.testing.assert_array_equal(stopped, table[: first + 1])
    [frame] = tmp_path.glob("devi.out.*.lammpstrj")
    assert frame.name == f"devi.out.{int(table[first, 0])}.lammpstrj"
    assert len(ase.io.read(frame, format="lammps-dump-text")) == 64


def test_control_models_that_are_equal(tmp_path):
    """They do not deviate, whatever their error is."""
    write_committee(tmp_path / "same.model", [load_models(ACTIVE / "committee.model")[0]] * 2)
    table = heat(tmp_path, ("steps", 60), ("committee", "same.model"))
    assert (table[:, 1:] == 0).all()
    assert analyze(tmp_path) == ([0.0] * 4, 0, 4, False)


def test_readme_has_the_correlation():
    text = (ACTIVE / "README.md").read_text()
    assert re.search(r"correlation.*\b0\.\d\d\b", text)
    assert (ACTIVE / "expected.png").read_bytes().startswith(b"\x89PNG")
    files = list(ACTIVE.glob("committee.*"))
    assert len(files) == 10
    assert sum(file.stat().st_size for file in files) < 5e5
