"""The shipped ionic model against its classical potential, and its energy at constant energy."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
from example_runs import ENVIRONMENT, EXAMPLES, imported, short_training
from programs import LMP, MPIRUN

from lammps_mace.models.constants import COULOMB_CONSTANT

IONIC = EXAMPLES / "ionic"
FILES = ("model", "json", "safetensors")

FORCE_RMSE = 120.0  # meV/Å, in hot salt (2000 K) that the model itself made
DRIFT = 0.5  # meV/ion in 0.4 ps, of a line through the total energy: coarse, no more
CHARGE = 0.006  # e, from the 0.02 that the training pulled them to


@pytest.fixture(scope="module")
def example():
    """Import the example's modules under their own names."""
    with imported(IONIC) as modules:
        yield modules


def test_shipped_files_are_small():
    assert sum(IONIC.joinpath(f"nacl.{end}").stat().st_size for end in FILES) < 2e6


def test_training_from_scratch(tmp_path):
    """train.py makes data, learns, and writes a model that can be read."""
    (first, second), model = short_training(IONIC, tmp_path)
    assert second < first
    assert (model.dataset_info.elements, model.write_charges) == (("Na", "Cl"), True)


@pytest.fixture(scope="module")
def melted(tmp_path_factory):
    """Return the folder of in.melt, run with both potentials on two ranks: 216 ions."""
    folder = tmp_path_factory.mktemp("melt")
    for name in ("in.melt", "nacl.lmp", "plot.py", *(f"nacl.{end}" for end in FILES)):
        shutil.copy(IONIC / name, folder)
    short = ["-in", "in.melt", "-var", "steps", "150", "-var", "nve", "400", "-var", "cells", "3"]
    for potential in ("mace", "classical"):
        command = [MPIRUN, "-np", "2", LMP, *short]
        command += ["-var", "potential", potential]
        subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True, stdin=subprocess.DEVNULL)
    return folder


def frames(folder):
    """Return types [n], charges (e), positions (Å) and forces (eV/Å) of the frames, and the cell.

    The frames are [n_frames, n] and [n_frames, n, 3].
    """
    parts = (folder / "charges.mace").read_text().split("ITEM: TIMESTEP\n")[1:]
    table = np.array([[row.split() for row in part.splitlines()[8:]] for part in parts], float)
    low, high = map(float, parts[0].splitlines()[4].split())
    charges, positions, forces = table[:, :, 2], table[:, :, 3:6], table[:, :, 6:]
    return table[0, :, 1].astype(int), charges, positions, forces, high - low


def test_forces(melted, example):
    """On structures of the model's own trajectory the classical potential says almost the same."""
    types, _, positions, forces, length = frames(melted)
    cells = round((len(types) / 8) ** (1 / 3))
    scale = length / cells / example["data"].LATTICE_ANGSTROM
    errors, controls = [], []
    with example["data"].session() as lmp:
        for k in range(0, len(forces), 20):
            truth = example["data"].evaluate(lmp, scale, cells, types - 1, positions[k])
            assert (truth.species == types - 1).all()  # in the order of IDs
            errors.append(forces[k] - truth.forces)
            controls.append(1.2 * forces[k] - truth.forces)
    assert 1000 * np.sqrt(np.mean(np.square(errors))) < FORCE_RMSE
    # A control: the limit tells forces that are a fifth off.
    assert 1000 * np.sqrt(np.mean(np.square(controls))) > FORCE_RMSE


def inside(charges, positions, length, cutoff):
    """Return sum q_i q_j / cutoff over pairs inside it, eV: what the steps at it add up to."""
    d = positions[:, None] - positions[None]
    d -= length * np.rint(d / length)
    near = (d**2).sum(axis=-1) < cutoff**2
    products = np.where(near, np.outer(charges, charges), 0.0)
    return COULOMB_CONSTANT / cutoff * 0.5 * (products.sum() - (charges**2).sum())


def test_constant_energy(melted, example):
    """The total energy drifts no more than the pairs that cross the Coulomb cutoff make it."""
    cutoff = example["train"].LONG_RANGE_ANGSTROM
    step, _, energy = np.loadtxt(melted / "energy.mace").T
    types, charges, positions, _, length = frames(melted)
    n = len(types)
    assert length > 2 * cutoff  # the nearest image is the only one
    every = (len(step) - 1) // (len(charges) - 1)
    total = 1000 * (energy[: every * len(charges) : every])
    steps = [1000 / n * inside(*f, length, cutoff) for f in zip(charges, positions, strict=True)]
    smooth = total - np.array(steps)
    time = np.linspace(0.0, 1.0, len(total))
    drift = np.polyfit(time, smooth, 1)[0]
    assert abs(drift) < DRIFT
    # A control: the steps are there, and taking them away twice makes them again.
    assert smooth.std() < total.std()
    assert (smooth - np.array(steps)).std() > smooth.std()


def test_charges_of_the_melt(melted, example):
    types, charges, *_ = frames(melted)
    assert np.abs(charges.sum(axis=1)).max() < 1e-4  # the dump has six digits of each
    expected = example["train"].CHARGES[types - 1]
    assert np.sqrt(np.mean((charges - expected) ** 2)) < CHARGE


def test_picture(melted):
    subprocess.run([sys.executable, "plot.py"], cwd=melted, check=True)
    assert (melted / "melt.png").read_bytes().startswith(b"\x89PNG")
