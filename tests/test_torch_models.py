"""Models of mace-torch without torch: lowered, differentiated, with fewer elements, as files."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from torch_small import (
    CONFIG,
    DENSITY,
    EMBEDDINGS,
    NON_LINEAR,
    RADIAL,
    TRANSFORM,
    config_of,
    make_torch_model,
)

from lammps_mace import evaluate, load_model, save_model
from lammps_mace.engine.interface import DomainGraph, NoExchange
from lammps_mace.errors import ModelFileError
from lammps_mace.evaluation import find_pairs
from lammps_mace.lowering.build import build_engine
from lammps_mace.models import families
from lammps_mace.models.model import flatten

EXACT = 1e-11  # relative, float64: the same sums in another order
STEP = 1e-4  # Å, of differences
DIFFERENCES = 1e-7  # relative: what is left of the third derivative, and rounding

ARCHITECTURES = {
    "plain": config_of({"interaction": "RealAgnostic"}),
    "residual": config_of(),
    "density": config_of({"interaction": "RealAgnosticDensity"}, DENSITY),
    "repulsion": config_of(pair_repulsion=True),
    "repulsion unscaled": config_of(pair_repulsion=True, scale_shift=False),
    "agnesi": config_of(DENSITY, DENSITY, **TRANSFORM),
    "soft": config_of(radial={**RADIAL, "transform": "soft", "basis": "gaussian"}),
    "early soft": config_of(radial={**RADIAL, "transform": "early soft", "cutoff_outside": True}),
    "chebyshev": config_of(radial={**RADIAL, "basis": "chebyshev", "orders": [1, 2, 3, 4, 6]}),
    "non-linear": config_of(NON_LINEAR, NON_LINEAR, pair_repulsion=True, **TRANSFORM),
    "non-linear, cutoff inside": config_of(NON_LINEAR, NON_LINEAR),
    "few sent": config_of(rest={"sent": "1o", "sent_channels": 2}),
    "heads": config_of(
        heads=["a", "b"], readouts=[{"layer": 1, "kind": "biased", "width": 3, "gate": "tanh"}]
    ),
    "embedded": config_of(embeddings=EMBEDDINGS, embedding_readout=True),
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMMPS_MACE_CACHE", str(tmp_path))


def structure(numbers=(8, 14), seed=0):
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[[0.0, 2.0]] * 3), -1).reshape(-1, 3)
    positions = grid + rng.uniform(-0.35, 0.35, grid.shape)
    cell = 4.0 * np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3))
    return Atoms(rng.choice(numbers, len(grid)), positions, cell=cell, pbc=True)


def lowered(model, atoms):
    """Return energy and forces of the lowered model."""
    facts = families.facts(model)
    pairs = find_pairs(atoms, facts.cutoff_angstrom)
    symbols = atoms.get_chemical_symbols()
    species = np.array([facts.elements.index(symbol) for symbol in symbols], np.int32)
    graph = DomainGraph(
        species=species, offsets=np.searchsorted(pairs.receivers, np.arange(len(atoms) + 1)),
        senders=pairs.senders, displacements=-pairs.vectors, one_domain=True,
    )  # fmt: skip
    engine = build_engine(model)
    found = engine.evaluate(graph, NoExchange())
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, pairs.receivers, found.pair_gradient)
    np.subtract.at(forces, pairs.senders, found.pair_gradient)
    return engine.model.description, found.energy, forces


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_lowered_model_equals_the_network(name):
    model = make_torch_model(ARCHITECTURES[name], exact_radial=True)
    atoms = structure()
    how, energy, forces = lowered(model, atoms)
    truth = evaluate(model, atoms)
    assert how == "cpu kernels, exact radial network"
    assert abs(energy - truth.energy) < EXACT * abs(truth.energy)
    assert np.abs(forces - truth.forces).max() < EXACT * np.abs(truth.forces).max()
    other = evaluate(replace(model, params=make_torch_model(model.config, seed=1).params), atoms)
    assert abs(energy - other.energy) > 1e-3  # a control


@pytest.mark.parametrize(
    "name", ["density", "repulsion", "agnesi", "soft", "chebyshev", "non-linear"]
)
def test_forces_and_virial_are_differences_of_the_energy(name):
    model, atoms = make_torch_model(ARCHITECTURES[name]), structure()
    found = evaluate(model, atoms)
    rng = np.random.default_rng(3)
    shift = rng.normal(size=(len(atoms), 3))
    strain = rng.normal(size=(3, 3))
    strain += strain.T  # random coupling tensors make energies that change with rotations

    def moved(step):
        other = atoms.copy()
        other.positions += step * shift
        return evaluate(model, other).energy

    def strained(step):
        other = atoms.copy()
        other.set_cell(atoms.cell.array @ (np.eye(3) + step * strain), scale_atoms=True)
        return evaluate(model, other).energy

    slope = difference(moved)
    assert abs(slope + (found.forces * shift).sum()) < DIFFERENCES * np.abs(found.forces).sum()
    slope = difference(strained)
    assert abs(slope + (found.virial * strain).sum()) < DIFFERENCES * np.abs(found.virial).sum()


def difference(function):
    """Return the slope at 0 by differences of fourth order."""
    near, far = (function(k * STEP) - function(-k * STEP) for k in (1, 2))
    return (8 * near - far) / (12 * STEP)


@pytest.mark.parametrize("name", ["plain", "agnesi", "non-linear", "repulsion", "heads"])
def test_fewer_elements(name):
    changes = {"atomic_numbers": [14, 3, 8]}
    config = ARCHITECTURES[name].model_copy(update=changes)
    whole = make_torch_model(config, head=len(config.heads) - 1)
    chosen = families.select_elements(whole, [2, 0])
    assert families.facts(chosen).elements == ("O", "Si")
    families.check_settings(chosen)
    shapes = families.parameter_shapes(chosen)
    assert {key: array.shape for key, array in flatten(chosen.params).items()} == shapes
    atoms = structure()
    one, other = evaluate(whole, atoms), evaluate(chosen, atoms)
    np.testing.assert_allclose(one.energies, other.energies, rtol=1e-13)
    np.testing.assert_allclose(one.forces, other.forces, atol=1e-12 * np.abs(one.forces).max())
    with pytest.raises(ValueError, match="does not know the elements Li"):
        evaluate(chosen, structure(numbers=(3,)))


def test_written_and_read(tmp_path):
    model = make_torch_model(ARCHITECTURES["embedded"], exact_radial=True, origin="a test")
    path = write(tmp_path, model)
    read = load_model(path)
    assert read.config == model.config
    assert (read.total_charge, read.total_spin, read.exact_radial) == (1, 2, True)
    for name, array in flatten(model.params).items():
        np.testing.assert_array_equal(flatten(read.params)[name], array)
    atoms = structure()
    assert evaluate(read, atoms).energy == evaluate(model, atoms).energy
    other = replace(model, total_spin=3)
    assert abs(evaluate(other, atoms).energy - evaluate(model, atoms).energy) > 1e-3


def write(folder, model, **changes):
    given = {
        name: getattr(model, name)
        for name in ("dtype", "head", "total_charge", "total_spin", "exact_radial", "origin")
    }
    given |= changes
    return save_model(folder / "x.model", model.config, None, model.params, **given)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("plain", {"head": 1}, "head=1 must be 0 to 0"),
        ("plain", {"write_charges": True}, "models of mace-torch predict no charges"),
        ("plain", {"total_charge": 1}, "total_charge=1: the network does not read it"),
        ("embedded", {"total_spin": None}, "total_spin is None: the network reads it, 0 to 3"),
        ("embedded", {"total_charge": 3}, "total_charge=3 must be -2 to 2"),
    ],
)
def test_settings_that_cannot_be(tmp_path, name, changes, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path, make_torch_model(ARCHITECTURES[name]), **changes)
    assert not list(tmp_path.iterdir())


def test_dataset_info_is_of_mlip(tmp_path):
    model = make_torch_model()
    with pytest.raises(ValueError, match="models of mlip need it, those of mace-torch have none"):
        save_model(tmp_path / "x.model", model.config, object(), model.params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 1}, "did you mean"),
        ({"format_version": 4}, "reads 1 to 3: install a newer lammps-mace"),
        ({"family": "another"}, "family: Input should be 'mace-torch'"),
        ({"elements": ["H", "Si"]}, "elements must be those of config.atomic_numbers, O Si"),
        ({"config": {**CONFIG, "layers": []}}, "config.layers: "),
    ],
)
def test_sidecar_that_is_wrong(changes, message):
    import json

    from lammps_mace.errors import UnusableFileError
    from lammps_mace.modelfile.sidecar import dump_sidecar, parse_sidecar, sidecar_of

    model = replace(make_torch_model(), weights_sha256="0" * 64)
    text = dump_sidecar(sidecar_of(model))
    assert parse_sidecar(text, "x").config == model.config
    with pytest.raises(UnusableFileError, match=message):
        parse_sidecar(json.dumps({**json.loads(text), **changes}).encode(), "x")


def test_weights_that_do_not_fit(tmp_path):
    model = make_torch_model()
    params = {**model.params, "node_embedding": np.zeros((3, 4))}
    with pytest.raises(ValueError, match=r"'node_embedding' has shape \(3, 4\)"):
        write(tmp_path, replace(model, params=params))
    path = write(tmp_path, model)
    path.with_suffix(".safetensors").unlink()
    with pytest.raises(ModelFileError, match="are missing"):
        load_model(path)
