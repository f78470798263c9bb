"""Float32, as mlip runs by default, against our float32: random combinations."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import quick_xla
from oracle import Truth
from parity import differences, random_case, spoiled

from lammps_mace.convert import convert
from lammps_mace.evaluation import Evaluator

HERE = Path(__file__).parent
# Rounding of float32: eV per atom, part of the largest force.
ENERGY, FORCES = 2e-5, 2e-4
SPOILED_BY = 1e-2
SEEDS = range(100, 108)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Return a folder with mlip's checkpoints and numbers."""
    folder = tmp_path_factory.mktemp("float32")
    paths = [str(HERE.parent / "support"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    env.pop("JAX_ENABLE_X64", None)
    env["XLA_FLAGS"] = quick_xla.FLAGS
    program = [sys.executable, str(HERE / "float32_oracle.py"), str(folder), *map(str, SEEDS)]
    done = subprocess.run(program, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("seed", SEEDS)
def test_random_combination(seed, checkpoints, tmp_path):
    case, path = random_case(seed), tmp_path / "x.model"
    convert(checkpoints / f"{seed}.zip", path, total_charge=case.charge, head=str(case.head))
    data = np.load(checkpoints / f"{seed}.npz")
    truth = Truth(float(data["energy"]), data["forces"], data["stress"], data["energies"], None)
    evaluator = Evaluator(path)
    assert evaluator.model.dtype == "float32"
    result = evaluator.evaluate(case.atoms)
    found = differences(result, truth)
    # Float32 energies of hundreds of eV go in steps of 1.5e-5.
    steps = 4 * np.spacing(np.float32(abs(truth.energy))) / len(result.energies)
    assert found["energy"] < max(ENERGY, steps), found
    assert found["forces"] < FORCES, found
    wrong = differences(spoiled(evaluator, SPOILED_BY).evaluate(case.atoms), truth)
    # One atom alone feels no force: its energy tells.
    assert wrong["forces"] > FORCES or wrong["energy"] > ENERGY, wrong
