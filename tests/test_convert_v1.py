"""Checkpoints of mlip 0.1 against the energies and forces that mlip 0.1 computed for them."""

import json
import zipfile
from pathlib import Path

import ase
import numpy as np
import pytest
from parity import spoiled

from lammps_mace.cli.main import main
from lammps_mace.convert import ConvertError, convert, read_archive
from lammps_mace.convert.mlip_0_1 import message_order
from lammps_mace.evaluation import Evaluator

DATA = Path(__file__).parent / "data"
REFERENCE = json.loads((DATA / "v1.json").read_text())
# eV per atom, part of the largest force.
TOLERANCES = {"float64": (1e-8, 1e-8), "float32": (2e-5, 2e-4)}
SPOILED_BY = {"float64": 1e-6, "float32": 3e-3}


def compare(evaluator, cases):
    """Return the largest differences of energies per atom and of forces."""
    energy = force = 0.0
    for case in cases:
        periodic = case["cell"] is not None
        atoms = ase.Atoms(
            numbers=case["numbers"], positions=case["positions"], cell=case["cell"], pbc=periodic
        )
        result, forces = evaluator.evaluate(atoms), np.array(case["forces"])
        energy = max(energy, abs(result.energy - case["energy"]) / len(atoms))
        force = max(force, np.abs(result.forces - forces).max() / np.abs(forces).max())
    return energy, force


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", REFERENCE)
def test_agrees_with_the_library_itself(name, dtype, tmp_path):
    path = tmp_path / "x.model"
    convert(DATA / f"{name}.zip", path, dtype=dtype)
    evaluator = Evaluator(path)
    energy, force = compare(evaluator, REFERENCE[name])
    assert energy < TOLERANCES[dtype][0]
    assert force < TOLERANCES[dtype][1]
    energy, force = compare(spoiled(evaluator, SPOILED_BY[dtype]), REFERENCE[name])
    assert force > TOLERANCES[dtype][1]


def test_says_what_it_did(tmp_path, capsys):
    assert main(["convert", str(DATA / "v1_symmetric.zip"), "-o", str(tmp_path / "x.model")]) == 0
    assert "mlip 0.1 sums its 2 readout heads; they became one" in capsys.readouterr().out
    notes = convert(DATA / "v1_species_embedding.zip", tmp_path / "x.model")
    assert "note: the species embedding of the pairs became a table over pairs of species" in notes
    notes = convert(DATA / "v1_options.zip", tmp_path / "x.model")
    assert any("reads its keys as species indices" in note for note in notes)


def rewritten(tmp_path, name, change):
    """Return a copy of a checkpoint with changed hyper-parameters."""
    path = tmp_path / "changed.zip"
    with zipfile.ZipFile(DATA / name) as old, zipfile.ZipFile(path, "w") as new:
        hyperparams = json.loads(old.read("hyperparams.json"))
        change(hyperparams)
        new.writestr("hyperparams.json", json.dumps(hyperparams))
        new.writestr("params.npz", old.read("params.npz"))
    return path


def with_params(tmp_path, change):
    """Return a copy of a checkpoint with changed parameters."""
    archive = read_archive(DATA / "v1_plain.zip")
    params = dict(archive.params)
    change(params)
    path = tmp_path / "changed.zip"
    np.savez(tmp_path / "params.npz", **params)
    with zipfile.ZipFile(path, "w") as new:
        new.writestr("hyperparams.json", json.dumps(archive.hyperparams))
        new.write(tmp_path / "params.npz", "params.npz")
    return path


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("include_pseudotensors", True, "mlip 0.1 itself fails to build such a model"),
        ("num_besel", 8, "unknown key 'num_besel' in ConfigV1; did you mean 'num_bessel'?"),
        ("num_layers", 3, r"missing: 'MaceBlock_0#layer_1"),
        ("num_layers", 1, "missing: 'MaceBlock_0#layer_0#NonLinearReadoutBlock_0"),
        ("num_channels", 4, r"has shape \(2, 3\); the configuration asks for \(2, 4\)"),
        ("gate_nodes", True, "missing: .*species_wise_gate_weights"),
        ("correlation", 1, "not used: .*w2_0e"),
        ("atomic_energies", "none", "config.atomic_energies"),
    ],
)
def test_refusals(key, value, message, tmp_path):
    def change(hyperparams):
        hyperparams["config"][key] = value

    with pytest.raises(ConvertError, match=message):
        convert(rewritten(tmp_path, "v1_plain.zip", change), tmp_path / "x.model")
    assert not (tmp_path / "x.model").exists()


def test_weights_that_are_not_finite(tmp_path):
    def change(params):
        name = next(name for name in params if "linear_up" in name)
        params[name] = np.full_like(params[name], np.nan)

    with pytest.raises(ConvertError, match="linear_up.*not finite"):
        convert(with_params(tmp_path, change), tmp_path / "x.model")


def test_axis_of_devices_is_dropped(tmp_path):
    def change(params):
        params.update({name: np.stack([array, array]) for name, array in params.items()})

    convert(with_params(tmp_path, change), tmp_path / "x.model", dtype="float64")
    energy, force = compare(Evaluator(tmp_path / "x.model"), REFERENCE["v1_plain"])
    assert max(energy, force) < 1e-8


def test_saved_again_by_mlip_0_2(tmp_path):
    # mlip 0.2 reads models of 0.1 and writes them with the new name of the cutoff.
    def change(hyperparams):
        info = hyperparams["dataset_info"]
        info["graph_cutoff_angstrom"] = info.pop("cutoff_distance_angstrom")
        hyperparams["config"]["deterministic_scatter_ops"] = False

    path = rewritten(tmp_path, "v1_plain.zip", change)
    lines = convert(path, tmp_path / "x.model")
    assert "mlip 0.1" in lines[0]


@pytest.mark.parametrize(("source", "l_max"), [(0, 3), (1, 2), (2, 3), (3, 3)])
def test_message_order_is_a_permutation(source, l_max):
    paths = message_order(source, l_max)
    assert sorted(path.index for path in paths) == list(range(len(paths)))
