"""Models of mace-torch against its own numbers: energies, forces, energies of atoms, stress."""

import json
import lzma
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from ase import Atoms
from torch_files import model_folder
from torch_oracle.architectures import SUITE

from lammps_mace.convert import convert
from lammps_mace.convert.torch.checkpoint import read_torch_checkpoint
from lammps_mace.convert.torch.reader import read_records
from lammps_mace.evaluation import Evaluator
from lammps_mace.models.model import Model, unflatten

DATA = Path(__file__).parent / "data"
OLD = ("torch_0_3_3_small", "torch_0_3_10_small-density", "torch_0_3_15_small-non-linear")
# eV per atom; eV of one atom; part of the largest force or stress. The reference is float64.
TOLERANCES = {"float64": (1e-8, 1e-8, 1e-9), "float32": (2e-5, 1e-4, 2e-4)}


def unpacked(name, folder):
    path = folder / "x.model"
    path.write_bytes(lzma.decompress((DATA / f"{name}.model.xz").read_bytes()))
    return path


def differences(evaluator, reference, case):
    """Return the differences in energy and energies (eV/atom), forces and stress (relative)."""
    atoms = Atoms(
        numbers=reference["numbers"], positions=reference["positions"], cell=reference["cell"],
        pbc=True,
    )  # fmt: skip
    found = evaluator.evaluate(atoms)
    energies = abs(found.energy - reference["energy"][case]) / len(atoms)
    largest = {key: np.abs(reference[key][case]).max() for key in ("forces", "stress")}
    return {
        "energy": energies,
        "energies": np.abs(found.energies - reference["energies"][case]).max(),
        "forces": np.abs(found.forces - reference["forces"][case]).max() / largest["forces"],
        "stress": np.abs(found.stress - reference["stress"][case]).max() / largest["stress"],
    }


def check(found, dtype, only=("energy", "energies", "forces", "stress")):
    energy, energies, relative = TOLERANCES[dtype]
    limits = {"energy": energy, "energies": energies, "forces": relative, "stress": relative}
    assert {key: found[key] for key in only if found[key] >= limits[key]} == {}


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", OLD)
def test_files_of_older_versions(name, dtype, tmp_path):
    reference = np.load(DATA / f"{name}.npz")
    head = str(reference["head"][-1])
    convert(unpacked(name, tmp_path), tmp_path / "y.model", dtype=dtype, head=head)
    evaluator = Evaluator(tmp_path / "y.model")
    check(differences(evaluator, reference, -1), dtype)
    by = 10 * TOLERANCES[dtype][2]
    parameters = jax.tree.map(lambda array: array * (1 + by), evaluator.network.parameters)
    evaluator.network = replace(evaluator.network, parameters=parameters)
    assert differences(evaluator, reference, -1)["forces"] > TOLERANCES[dtype][2]


@pytest.mark.parametrize("name", [architecture.name for architecture in SUITE])
def test_random_models(name):
    folder = model_folder() / name
    reference = np.load(folder / "reference.npz")
    checkpoint = read_torch_checkpoint(read_records(folder / "model.model"), name)
    config = checkpoint.config
    embedded = {embedding.quantity for embedding in config.embeddings}
    case = len(reference["head"]) - 1
    settings = {
        key: int(reference[key][case]) for key in ("head", "total_charge", "total_spin")
        if key == "head" or key in embedded
    }  # fmt: skip
    model = Model(config, None, unflatten(checkpoint.params), dtype="float64", **settings)
    found = differences(Evaluator(model), reference, case)
    architecture = json.loads((folder / "architecture.json").read_text())
    # torch does not differentiate Chebyshev's polynomials: its forces are no derivatives.
    derivatives = () if architecture["radial"] == "chebyshev" else ("forces", "stress")
    check(found, "float64", ("energy", "energies", *derivatives))
