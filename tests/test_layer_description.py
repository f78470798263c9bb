"""The description between families of models and lowering: who may know what, and refusals."""

import re
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from described import described_energy
from small import (
    CUTOFF,
    ELEMENTS,
    domain_graph,
    energy_and_gradient,
    make_model,
    make_structure,
)

import lammps_mace
from lammps_mace import DatasetInfo, MaceConfig
from lammps_mace.engine.interface import NoExchange
from lammps_mace.lowering.build import build_engine
from lammps_mace.lowering.lower import lower
from lammps_mace.lowering.supported import needs_exact_radial, obstacle
from lammps_mace.models import families
from lammps_mace.models.description import (
    Density,
    MessageGate,
    PairEnergy,
    RadialWeights,
    SpeciesDependence,
)
from lammps_mace.models.mlip.shapes import parameter_shapes
from lammps_mace.models.model import DELIMITER

PACKAGE = Path(lammps_mace.__file__).parent
FREE_OF_FAMILIES = ("lowering", "engine", "kernels")
# Between them they have every parameter of the family.
NETWORKS = (
    {},
    {"gate_nodes": True, "species_pair_scaling": True, "num_readout_heads": 2},
    {"symmetric_contraction_backend": "e3nn", "residual_connection_first_layer": True},
    {"use_gaunt_tp_message_passing": True, "symmetric_contraction_backend": "gaunt_tp"},
    {"use_total_charge_embedding": True},
)


def parameter_names():
    """Return the names on all levels of the parameters; other tests compare them with Mace's."""
    info = DatasetInfo(atomic_energies_map=ELEMENTS, graph_cutoff_angstrom=CUTOFF)
    keys = [key for options in NETWORKS for key in parameter_shapes(MaceConfig(**options), info)]
    return {name for key in keys for name in key.split(DELIMITER)}


def mentions(text, names):
    """Return the names in a text; of those that are plain words, the quoted ones."""
    words = set(re.findall(r"\w+", text))
    quoted = set(re.findall(r"[\"'](\w+)[\"']", text))
    return {name for name in names if name in (quoted if name.isalpha() else words)}


def test_no_parameter_name_of_a_family_outside_it():
    names = parameter_names()
    assert {"linear_in", "radial_mlp", "kernel", "weight0_0_1", "species_pair_scale"} <= names
    found = {
        f"{path.relative_to(PACKAGE)}: {sorted(named)}"
        for folder in FREE_OF_FAMILIES
        for path in (PACKAGE / folder).rglob("*.py")
        if (named := mentions(path.read_text("utf-8"), names))
    }
    assert not found
    # Control: the family itself is full of them.
    of_family = (PACKAGE / "models" / "mlip").glob("*.py")
    assert any(mentions(path.read_text("utf-8"), names) for path in of_family)


def functions(parameters, distances, senders, receivers):
    return jnp.ones((len(distances), 1))


RADIAL = RadialWeights(functions, (), np.ones((1, 1)), "ones")


@pytest.fixture(scope="module")
def described():
    return families.describe(make_model("float32"))


def changed(description, **fields):
    """Return the description with another last layer."""
    *others, last = description.layers
    return replace(description, layers=(*others, replace(last, **fields)))


def test_what_lowering_does_not_know_is_named(described):
    assert obstacle(described) is None
    last = described.layers[-1]
    gate = MessageGate(None, 4, jnp.tanh, jnp.tanh, {})
    wide = {irrep: np.concatenate([matrix] * 2, axis=2) for irrep, matrix in last.send.items()}
    channels = "maps between different numbers of channels of layer 2"
    for other, name in (
        (changed(described, send=wide), channels),
        (changed(described, skip=None), "the missing skip of layer 2"),
        (changed(described, product={}), "an irrep without a map of layer 2"),
        (changed(described, normalization=Density(RADIAL, 1.0, 1.0)), "the density of layer 2"),
        (changed(described, message_gate=gate), "the gate of the messages of layer 2"),
        (replace(described, pair_energy=PairEnergy(functions, (), True)), "an energy of pairs"),
        (replace(described, undescribed="some option"), "some option"),
    ):
        assert obstacle(other) == name


def test_what_is_not_known_runs_as_the_network_defines_it(described, monkeypatch):
    other = changed(described, normalization=Density(RADIAL, 1.0, 1.0))
    monkeypatch.setattr(families, "describe", lambda model: other)
    assert lower(make_model("float32")).description == "plain network (the density of layer 2)"


def test_where_splines_will_not_do(described):
    assert not needs_exact_radial(described)
    radial = described.layers[-1].radial
    for fields in (
        {"zero_at_cutoff": False},
        {"factor": np.ones((2, 2, radial.matrix.shape[1]))},
        *({"dependence": one} for one in SpeciesDependence if one != SpeciesDependence.SHARED),
    ):
        assert needs_exact_radial(changed(described, radial=replace(radial, **fields)))
    assert needs_exact_radial(replace(described, exact_radial=True))
    assert needs_exact_radial(replace(described, dtype="float64"))


OPTIONS = {
    "small": {},
    "gates, three layers": {"gate_nodes": True, "num_layers": 3},
    "bound": {"soft_normalization": 2.0, "residual_connection_first_layer": True},
    "pairs of species": {"species_pair_scaling": True, "include_pseudotensors": True},
    "e3j": {"symmetric_contraction_backend": "e3j", "correlation": 3, "node_symmetry": 2},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_equations_of_a_description_are_those_of_the_network(name):
    model, structure = make_model(**OPTIONS[name]), make_structure()
    with jax.enable_x64(True):
        found = described_energy(families.describe(model), structure, structure.vectors)
        expected, _ = energy_and_gradient(model, structure)
    assert found == pytest.approx(expected, rel=1e-12)


def by_pairs(parameters, distances, senders, receivers):
    """Radial functions that depend on the ordered pair of species."""
    rate = parameters[senders, receivers][:, None]
    powers = jnp.arange(1, 4)
    return jnp.exp(-rate * distances[:, None] / 2.0) * (1.0 - distances[:, None] / 4.0) ** powers


def without_species(described):
    """Return the description with maps and weights that are the same for all species."""
    layers = []
    for layer in described.layers:
        contraction = {key: weight[:1] for key, weight in layer.contraction.weights.items()}
        skip = layer.skip and {irrep: matrix[:1] for irrep, matrix in layer.skip.items()}
        layers.append(
            replace(layer, skip=skip, contraction=replace(layer.contraction, weights=contraction))
        )
    return replace(described, layers=tuple(layers))


def in_pairs(described):
    """Return the description with other radial functions in all layers."""
    rng = np.random.default_rng(0)
    layers = []
    for layer in described.layers:
        matrix = rng.normal(size=(3, layer.radial.matrix.shape[1]))
        radial = RadialWeights(
            by_pairs, rng.uniform(0.5, 2.0, (2, 2)), matrix, "pairs",
            dependence=SpeciesDependence.PAIR,
        )  # fmt: skip
        layers.append(replace(layer, radial=radial))
    return replace(described, layers=tuple(layers))


@pytest.mark.parametrize("change", [without_species, in_pairs])
def test_descriptions_of_no_family_are_lowered(change, monkeypatch):
    model, structure = make_model(), make_structure()
    described = families.describe(model)
    other = change(described)
    monkeypatch.setattr(families, "describe", lambda model: other)
    with jax.enable_x64(True):
        prediction = build_engine(model).evaluate(domain_graph(structure), NoExchange())
        expected, gradient = jax.value_and_grad(
            lambda vectors: described_energy(other, structure, vectors)
        )(jnp.asarray(structure.vectors))
        before = described_energy(described, structure, structure.vectors)
    assert prediction.energy == pytest.approx(float(expected), rel=1e-12)
    largest = np.abs(gradient).max()
    np.testing.assert_allclose(prediction.pair_gradient, gradient, rtol=0, atol=1e-12 * largest)
    assert abs(float(expected) - float(before)) > 1e-3  # the change matters
