"""The kit of `make gpu`, as far as it goes without a GPU: on a CPU, with the list on the device."""

import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
DEVICE = {"JAX_PLATFORMS": "cpu", "LAMMPS_MACE_DEVICE_PATH": "1"}


@pytest.fixture
def kit(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.syspath_prepend(BENCHMARKS / "gpu")


def test_checks_and_tables(kit, tmp_path):
    from checks import MODELS, check, truth_of
    from report import markdown
    from timings import time_size

    tiny = replace(MODELS[1], channels=4)
    truth = truth_of(tiny, tmp_path)
    good = check(tiny, truth, 2, tmp_path, DEVICE)
    assert good.good
    assert max(good.differences.values()) < 1e-12
    single = check(replace(tiny, dtype="float32"), truth, 1, tmp_path, DEVICE)  # the control
    assert not single.good
    timing = time_size(tmp_path / "small.float32.0.model", 8, DEVICE)
    assert timing.us > 0
    assert "Whole step" in timing.stages
    assert timing.transferred.startswith("steps ")
    found = {
        "device": "a CPU", "checks": [asdict(good), asdict(single)], "timings": [asdict(timing)],
        "left out": ["1,000,000 atoms"],
    }  # fmt: skip
    text = markdown(found)
    assert "| small | float64 | 2 |" in text
    assert text.count("**WRONG**") == 1
    assert "Left out, for time: 1,000,000 atoms." in text


def test_without_a_gpu(tmp_path):
    run = subprocess.run(
        [sys.executable, BENCHMARKS / "gpu" / "kit.py"], cwd=tmp_path, capture_output=True,
        text=True, env={**os.environ, "JAX_PLATFORMS": "cpu"}, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "JAX finds no GPU: pip install 'lammps-mace[cuda13]', or --cpu" in run.stderr
    assert not list(tmp_path.glob("*/*"))


def test_sizes_that_are_no_crystal(kit):
    from lammps_runs import cells_of

    assert cells_of(13_824) == 12
    with pytest.raises(SystemExit, match=r"--sizes 1001: give 8 n\^3, for example 1000"):
        cells_of(1001)
