"""The description between families of models and lowering: who may know what, and refusals."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import e3nn_jax as e3nn
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
from lammps_mace.lowering import tabulated_functions
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
    gate = MessageGate(None, 4, jnp.tanh, jnp.tanh, {})
    for other, name in (
        (changed(described, product={}), "an irrep without a map of layer 2"),
        (changed(described, send={}), "an irrep without a map of layer 2"),
        (changed(described, message_gate=gate), "an irrep without a map of layer 2"),
        (replace(described, undescribed="some option"), "some option"),
    ):
        assert obstacle(other) == name


def test_what_is_not_known_runs_as_the_network_defines_it(described, monkeypatch):
    other = replace(described, undescribed="some option")
    monkeypatch.setattr(families, "describe", lambda model: other)
    assert lower(make_model("float32")).description == "plain network (some option)"


def test_where_splines_will_not_do(described):
    assert not needs_exact_radial(described)
    radial = described.layers[-1].radial
    for fields in (
        {"zero_at_cutoff": False},
        {"factor": np.ones((2, 2, radial.matrix.shape[1]))},
    ):
        other = replace(radial, **fields)
        assert needs_exact_radial(changed(described, radial=other))
        assert needs_exact_radial(changed(described, normalization=Density(other, 1.0, 1.0)))
    assert needs_exact_radial(replace(described, exact_radial=True))


OPTIONS = {
    "small": {},
    "gates, three layers": {"gate_nodes": True, "num_layers": 3},
    "bound": {"soft_normalization": 2.0, "residual_connection_first_layer": True},
    "pairs of species": {"species_pair_scaling": True, "include_pseudotensors": True},
    "e3j": {"symmetric_contraction_backend": "e3j", "correlation": 3, "node_symmetry": 2},
    "Gaunt": {
        "symmetric_contraction_backend": "gaunt_tp", "use_gaunt_tp_message_passing": True,
        "correlation": 3, "num_layers": 3,
    },
}  # fmt: skip


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
    powers = jnp.arange(2, 5)
    return jnp.exp(-rate * distances[:, None] / 2.0) * (1.0 - distances[:, None] / CUTOFF) ** powers


def pair_radial(rng, n_weights, rates=None):
    """Return random weights that depend on ordered pairs of two species."""
    rates = rng.uniform(0.5, 2.0, (2, 2)) if rates is None else rates
    matrix = rng.normal(size=(3, n_weights))
    return RadialWeights(by_pairs, rates, matrix, "pairs", dependence=SpeciesDependence.PAIR)


def without_species(layer, rng):
    """Return the layer with maps and weights that are the same for all species."""
    contraction = {key: weight[:1] for key, weight in layer.contraction.weights.items()}
    skip = layer.skip and {irrep: matrix[:1] for irrep, matrix in layer.skip.items()}
    return replace(layer, skip=skip, contraction=replace(layer.contraction, weights=contraction))


def in_pairs(layer, rng):
    return replace(layer, radial=pair_radial(rng, layer.radial.matrix.shape[1]))


def symmetric(layer, rng):
    rates = np.array([[0.5, 1.0], [1.0, 2.0]])
    radial = pair_radial(rng, layer.radial.matrix.shape[1], rates)
    return replace(layer, radial=replace(radial, symmetric=True))


def dense(layer, rng):
    """Return the layer with a density that depends on the pair of species."""
    return replace(layer, normalization=Density(pair_radial(rng, 1), 5.0, 0.7))


def without_skip(layer, rng):
    return replace(layer, skip=None)


def widened(linear, rng, n_in=None, n_out=None):
    """Return a random map between other numbers of channels."""
    return {
        irrep: rng.normal(size=(len(old), n_in or old.shape[1], n_out or old.shape[2])) / 3.0
        for irrep, old in linear.items()
    }


def narrow(layer, rng):
    """Return the layer with fewer channels at the edges, some irreps of which are not sent."""
    few, channels = 3, layer.radial.matrix.shape[1] // len(layer.paths)
    if layer.send is None:
        return layer
    sent = {irrep: m for irrep, m in widened(layer.send, rng, n_out=few).items() if irrep != "1o"}
    paths = tuple(path for path in layer.paths if str(path.source) != "1o")
    count = Counter(str(path.target) for path in paths)
    mix = {
        irrep: 30.0 * rng.normal(size=(1, count[irrep] * few, channels))
        for irrep in layer.mix[0]
        if count[irrep]
    }
    radial = pair_radial(rng, len(paths) * few)
    irreps = e3nn.Irreps([(1, irrep) for irrep in sent])
    return replace(layer, sent=irreps, send=sent, paths=paths, mix=(mix,), radial=radial)


def gated(layer, rng):
    """Return the layer with a gate, to which what an atom itself sends is added."""
    *before, mix = layer.mix
    n = next(iter(mix.values())).shape[2]
    n_gates = (n + 2) * (len(mix) - 1)
    widths = {irrep: n + 3 + n_gates if irrep == "0e" else n + 2 for irrep in mix}
    wide = {irrep: rng.normal(size=(1, m.shape[1], widths[irrep])) for irrep, m in mix.items()}
    # Before the first layer there are scalars only.
    sent = ["0e"] if layer.send is None else [irrep for irrep in layer.send if irrep in mix]
    own = {irrep: rng.normal(size=(1, n, widths[irrep])) for irrep in sent}
    after = {irrep: rng.normal(size=(1, n + 2 + (irrep == "0e"), n)) / 3.0 for irrep in mix}
    gate = MessageGate(own, n + 3, jax.nn.silu, jax.nn.sigmoid, after)
    return replace(layer, mix=(*before, wide), message_gate=gate, normalization=20.0)


def gated_and_dense(layer, rng):
    return dense(gated(layer, rng), rng)


CHANGES = (
    without_species, in_pairs, symmetric, dense, without_skip, narrow, gated, gated_and_dense,
)  # fmt: skip


def repelled(description):
    """Return the description with an energy of pairs, not multiplied by the scale."""

    def energy(parameters, distances, senders, receivers):
        return parameters[senders, receivers] * (1.0 - distances / CUTOFF) ** 3 / distances

    strengths = np.array([[0.3, 1.0], [1.0, 2.0]])
    return replace(description, pair_energy=PairEnergy(energy, strengths, scaled=False))


@pytest.fixture
def exact_or_splines(monkeypatch):
    """Return a function that lowers the description of no family, in float64."""

    def lowered(model, description, splines):
        described = replace(description, exact_radial=not splines)
        monkeypatch.setattr(families, "describe", lambda model: described)
        return build_engine(model)

    return lowered


@pytest.mark.parametrize("splines", [False, True], ids=["exact", "splines"])
@pytest.mark.parametrize("change", CHANGES)
def test_descriptions_of_no_family_are_lowered(change, splines, exact_or_splines):
    # In the middle of three layers something comes before and after a layer without skip.
    model, structure = make_model(num_layers=2 + (change is without_skip)), make_structure()
    described, rng = families.describe(model), np.random.default_rng(0)
    layers = tuple(change(layer, rng) for layer in described.layers)
    other = repelled(replace(described, layers=layers))
    engine = exact_or_splines(model, other, splines)
    with jax.enable_x64(True):
        prediction = engine.evaluate(domain_graph(structure), NoExchange())
        expected, gradient = jax.value_and_grad(
            lambda vectors: described_energy(other, structure, vectors)
        )(jnp.asarray(structure.vectors))
        before = described_energy(
            replace(other, layers=described.layers), structure, structure.vectors
        )
    assert ("splines" in engine.model.description) == splines
    tolerance = 1e-9 if splines else 1e-12
    assert prediction.energy == pytest.approx(float(expected), rel=tolerance)
    largest = np.abs(gradient).max()
    np.testing.assert_allclose(prediction.pair_gradient, gradient, rtol=0, atol=tolerance * largest)
    assert abs(float(expected) - float(before)) > 1e-4  # the change matters


def test_functions_of_very_many_pairs_are_splines(exact_or_splines, monkeypatch):
    """The same numbers, whether all weights are splines or only what they are made of."""
    model, structure = make_model(), make_structure()
    described, rng = families.describe(model), np.random.default_rng(0)
    layers = tuple(dense(in_pairs(layer, rng), rng) for layer in described.layers)
    other = replace(described, layers=layers)
    found = []
    for most in (tabulated_functions.MOST_BYTES, 0):
        monkeypatch.setattr(tabulated_functions, "MOST_BYTES", most)
        engine = exact_or_splines(model, other, splines=True)
        assert "radial splines of" in engine.model.description
        assert ("spline" in engine.model.layers[1].weights) == (most > 0)
        found.append(engine.evaluate(domain_graph(structure), NoExchange()).pair_gradient)
    largest = np.abs(found[0]).max()
    np.testing.assert_allclose(*found, rtol=0, atol=1e-5 * largest)
    assert np.abs(found[0] - found[1]).max() > 0.0
