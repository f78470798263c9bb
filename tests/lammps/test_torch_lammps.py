"""Models of mace-torch, converted, in real LAMMPS on 1, 2 and 4 ranks, against torch's numbers."""

import json
import os

import ase.build
import numpy as np
import pytest
import quick_xla
from ase import Atoms
from torch_files import model_folder
from torch_oracle.architectures import SUITE

from lammps_mace.cli.lammps_process import run_lammps
from lammps_mace.convert import convert
from lammps_mace.evaluation import evaluate

# eV per atom, part of the largest force; the file's own precision is float32 or float64.
TOLERANCES = {"float64": (1e-8, 1e-9), "float32": (2e-5, 2e-4)}
WHICH = os.environ.get("LAMMPS_MACE_TORCH_MODELS", "")  # all, or names; without: these
MODELS = {
    "chance_2": "non-linear, three layers, charge and spin",
    "chance_10": "density first, then no residual, Soft, three layers",
    "chance_28": "density, Agnesi, ZBL, features up to l=3",
    "chance_33": "density, Soft, ZBL, LoRA, two heads",
}
FULL = ("chance_2", "chance_28")  # on 1 and 4 ranks; on 2 in float32


def models():
    """Return the names of the models that are run; all of them take half an hour."""
    if WHICH == "all":
        return [architecture.name for architecture in SUITE]
    return WHICH.split() or list(MODELS)


@pytest.fixture(autouse=True)
def _compiled_quickly(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", quick_xla.FLAGS)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", models())
def test_lammps_says_what_torch_says(name, dtype, tmp_path):
    folder, path = model_folder() / name, tmp_path / "x.model"
    truth, atoms = reference(folder)
    architecture = json.loads((folder / "architecture.json").read_text())
    options = {
        key: int(truth[key]) for key in ("total_charge", "total_spin") if architecture["embedding"]
    }
    convert(folder / "model.model", path, dtype=dtype, head=str(truth["head"]), **options)
    per_atom, relative = TOLERANCES[dtype]
    limits = {
        "energy": per_atom,
        "energies": 5 * per_atom,
        "forces": relative,
        # LAMMPS's pressure unit is known to eight digits, and cancels.
        "stress": max(relative, 1e-8),
    }
    if architecture["radial"] == "chebyshev":  # torch does not differentiate it
        del limits["forces"], limits["stress"]
    for ranks in ranks_of(name, dtype):
        result = run_lammps(path, atoms, ranks, tmp_path)
        found = differences(result, truth, atoms)
        print(name, dtype, f"{ranks} ranks", {key: f"{found[key]:.0e}" for key in limits})
        assert {key: found[key] for key in limits if not found[key] < limits[key]} == {}
        assert result.energies.sum() == pytest.approx(result.energy, rel=1e-12)


def ranks_of(name, dtype):
    """Return the numbers of ranks: all of every model where all models are run."""
    if dtype == "float32" or not (WHICH or name in FULL):
        return (2,)
    return (1, 2, 4) if WHICH else (1, 4)


def reference(folder):
    """Return what torch says of the last case, and its structure."""
    every = np.load(folder / "reference.npz")
    atoms = Atoms(every["numbers"], every["positions"], cell=every["cell"], pbc=True)
    results = "head", "total_charge", "total_spin", "energy", "energies", "forces", "stress"
    return {key: every[key][-1] for key in results}, atoms


def differences(result, truth, atoms):
    """Return the largest ones: of energies per atom (eV), and as parts of the largest value."""
    errors = {
        "energy": (result.energy - truth["energy"]) / len(atoms),
        "energies": result.energies - truth["energies"],
        "forces": (result.forces - truth["forces"]) / np.abs(truth["forces"]).max(),
        "stress": (-result.virial / atoms.get_volume() - truth["stress"])
        / np.abs(truth["stress"]).max(),
    }
    return {key: np.abs(error).max() for key, error in errors.items()}


def test_control_another_head_is_noticed(tmp_path):
    folder, path = model_folder() / "chance_33", tmp_path / "x.model"
    truth, atoms = reference(folder)
    convert(folder / "model.model", path, dtype="float64", head="0")
    assert int(truth["head"]) != 0
    result = run_lammps(path, atoms, 2, tmp_path)
    assert abs(result.energy - truth["energy"]) > 1e-3 * len(atoms)


def test_only_elements_of_pair_coeff_are_lowered(run_lammps, tmp_path):
    """The model has more elements than the input names, in another order."""
    path = tmp_path / "x.model"
    convert(model_folder() / "chance_21" / "model.model", path, dtype="float64")
    import lammps_mace

    elements = lammps_mace.load_model(path).config.elements
    one, other = elements[2], elements[0]
    script = f"""
units metal
lattice diamond 5.0
region box block 0 1 0 1 0 1
create_box 2 box
create_atoms 1 box
set group all type/fraction 2 0.5 7
mass * 20
displace_atoms all random 0.1 0.1 0.1 17
pair_style mliap unified x.model 0
pair_coeff * * {one} {other}
dump d all custom 1 dump.txt id type x y z fx fy fz
dump_modify d format float %.17g
thermo_modify format float %.17g
run 0
"""
    done = run_lammps(script, 2)
    assert done.returncode == 0, done.out
    rows = done.dump()
    atoms = ase.build.bulk("Si", "diamond", a=5.0, cubic=True)
    atoms.positions = [[row[k] for k in "xyz"] for row in rows]
    atoms.symbols = [one if row["type"] == 1 else other for row in rows]
    assert {one, other} == set(atoms.symbols)
    exact = evaluate(path, atoms)
    assert done.thermo()[-1]["E_pair"] == pytest.approx(exact.energy, rel=1e-12)
    forces = np.array([[row[k] for k in ("fx", "fy", "fz")] for row in rows])
    np.testing.assert_allclose(forces, exact.forces, rtol=0, atol=1e-9 * np.abs(forces).max())
