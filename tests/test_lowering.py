"""Lowered models against the network itself: every option, the splines, and the refusals."""

import re
from dataclasses import replace

import jax
import numpy as np
import pytest
from small import domain_graph, energy_and_gradient, make_model, make_structure, splines_of

from lammps_mace.engine.interface import NoExchange
from lammps_mace.kernels import BLOCK, evaluate_spline
from lammps_mace.lowering import layer as layer_lowering
from lammps_mace.lowering import radial_splines as radial
from lammps_mace.lowering.build import build_engine
from lammps_mace.lowering.low_rank_basis import low_rank_basis
from lammps_mace.lowering.species_pairs import SpeciesPairs
from lammps_mace.models import families
from lammps_mace.models.mlip import contraction_e3j, gaunt_contraction

EXACT = 1e-12  # relative, float64: the same sums in another order
FLOAT32 = 2e-5  # relative to the largest gradient: rounding, and splines
SPLINE = 1e-9  # what splines alone may change in float64

E3J = {"symmetric_contraction_backend": "e3j", "correlation": 3, "node_symmetry": 2}
GAUNT = {"symmetric_contraction_backend": "gaunt_tp"}
MESSAGES = {"use_gaunt_tp_message_passing": True}
OPTIONS = {
    "one layer": {"num_layers": 1},
    "three layers": {"num_layers": 3},
    "pseudotensors": {"include_pseudotensors": True},
    "gates": {"gate_nodes": True},
    "soft normalization": {"soft_normalization": 2.0},
    "first residual": {"residual_connection_first_layer": True},
    "e3j, correlation 3": E3J,
    "e3nn": {"symmetric_contraction_backend": "e3nn"},
    "Gaunt messages": MESSAGES,
    "Gaunt contraction": {**GAUNT, "num_layers": 3, "gate_nodes": True},
    "Gaunt, correlation 4": {**GAUNT, **MESSAGES, "correlation": 4},
    "Gaunt, linear": {**GAUNT, "correlation": 1, "l_max": 1},
    "sigmoid": {"radial_mlp_activation": "sigmoid"},
    "pairs of species": {"species_pair_scaling": True},
    "two heads": {"num_readout_heads": 2},
    "scalars": {"node_symmetry": 0},
    "one channel": {"num_channels": 1, "correlation": 1},
}

NEVER_SPLINES = ("sigmoid", "pairs of species")  # not zero at the cutoff; a factor of pairs


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMMPS_MACE_CACHE", str(tmp_path))


def gradient_error(model, structure, engine):
    """Return the errors of energy and gradient relative to the network, float64."""
    prediction = engine.evaluate(domain_graph(structure), NoExchange())
    energy, gradient = energy_and_gradient(model, structure)
    largest = np.abs(gradient).max()
    return (
        abs(prediction.energy - energy) / abs(energy),
        np.abs(prediction.pair_gradient - gradient).max() / largest,
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_lowered_model_equals_the_network(name):
    model, structure = make_model(**OPTIONS[name], exact_radial=True), make_structure(2)
    engine = build_engine(model)
    assert engine.model.description == "cpu kernels, exact radial network"
    assert max(gradient_error(model, structure, engine)) < EXACT


@pytest.mark.parametrize("name", ["three layers", "gates", *NEVER_SPLINES])
def test_splines_in_float64(name):
    model, structure = make_model(**OPTIONS[name]), make_structure(2)
    splined = build_engine(model)
    assert ("splines" in splined.model.description) == (name not in NEVER_SPLINES)
    assert max(gradient_error(model, structure, splined)) < SPLINE


def test_splines_in_float32():
    model, structure = make_model("float32"), make_structure(2)
    engine = build_engine(model)
    assert re.fullmatch("cpu kernels, radial splines of [0-9]+ knots", engine.model.description)
    assert max(gradient_error(model, structure, engine)) < FLOAT32
    exact = build_engine(replace(model, exact_radial=True))
    assert exact.model.description == "cpu kernels, exact radial network"
    assert max(gradient_error(model, structure, exact)) < FLOAT32


def test_error_of_the_splines_alone(monkeypatch):
    """Those of float32 change float64 models by a thousand times more: they are other splines."""
    model, structure = make_model(), make_structure(2)
    error = max(gradient_error(model, structure, build_engine(model)))
    assert EXACT / 10 < error < SPLINE
    monkeypatch.setitem(radial.ERRORS, "float64", radial.ERRORS["float32"])  # control
    assert max(gradient_error(model, structure, build_engine(model))) > 10 * SPLINE


# So many channels that the few functions of the radial network are fewer.
WIDE = {"num_channels": 80, "correlation": 2, "radial_mlp_hidden": (32,)}
IN_BASIS = ("one layer", "pseudotensors", "gates", "first residual", "scalars")


@pytest.mark.parametrize("name", IN_BASIS)
def test_first_layer_in_a_low_rank_basis(monkeypatch, name):
    model, structure = make_model(**{**OPTIONS[name], **WIDE}), make_structure(2)
    few = build_engine(model)
    monkeypatch.setattr(layer_lowering, "in_low_rank_basis", lambda *given: given[:4])
    all_of_them = build_engine(model)
    widths = [engine.model.layers[0].sum_channels for engine in (few, all_of_them)]
    assert widths == [2 * BLOCK, 80]
    assert few.model.layers[0].weights["first"].shape == (2, 1, 2 * BLOCK)  # two species
    a, b = (engine.evaluate(domain_graph(structure), NoExchange()) for engine in (few, all_of_them))
    largest = np.abs(b.pair_gradient).max()
    assert a.energy == pytest.approx(b.energy, rel=1e-11)
    np.testing.assert_allclose(a.pair_gradient, b.pair_gradient, rtol=0, atol=1e-10 * largest)
    assert not np.array_equal(a.pair_gradient, b.pair_gradient)


def test_a_low_rank_basis_makes_all_functions():
    [coefficients] = splines_of(make_model("float32", **WIDE)).coefficients
    functions, parts = low_rank_basis(coefficients, "float32")
    assert functions.shape[1] % BLOCK == 0
    assert functions.shape[1] == 2 * BLOCK
    largest = np.abs(coefficients).max()
    np.testing.assert_allclose(functions @ parts, coefficients, rtol=0, atol=1e-7 * largest)
    # Control: these functions are needed.
    fewer = functions[:, :BLOCK] @ parts[:BLOCK]
    assert np.abs(fewer - coefficients).max() > 3e-7 * largest


def test_forces_are_derivatives_through_the_splines(monkeypatch):
    monkeypatch.setitem(radial.ERRORS, "float64", radial.ERRORS["float32"])  # few knots
    engine, graph = build_engine(make_model()), domain_graph(make_structure())
    gradient = engine.evaluate(graph, NoExchange()).pair_gradient
    step = 1e-5
    for pair, axis in [(0, 0), (17, 1), (60, 2)]:
        energies = []
        for sign in (1, -1):
            moved = graph.displacements.copy()
            moved[pair, axis] += sign * step
            energies.append(
                engine.evaluate(replace(graph, displacements=moved), NoExchange()).energy
            )
        slope = (energies[0] - energies[1]) / (2 * step)
        # Far below the error of the splines: the gradient is that of the splined energy.
        assert slope == pytest.approx(gradient[pair, axis], rel=1e-7, abs=1e-8)


def test_too_few_knots_are_refused(monkeypatch):
    model = make_model("float32")
    monkeypatch.setattr(radial, "KNOTS", (8, 16))
    assert splines_of(model) is None
    assert build_engine(model).model.description == "cpu kernels, exact radial network"


def test_no_more_knots_than_the_errors_ask_for(monkeypatch):
    model = make_model("float32")
    few = splines_of(model).grid.knots
    monkeypatch.setitem(radial.ERRORS, "float32", ((1e-8, 1e-7), (1e-8, 1e-7)))
    assert splines_of(model).grid.knots > few  # nor are the splines of other rules taken


def steep_at_0(model):
    """Return the model with a radial network that varies much near 0 only, as trained ones do."""
    params = jax.tree.map(lambda x: x, model.params)
    first = params["layers_0"]["interaction_block"]["radial_mlp"]["layers_0"]
    first["kernel"] = 40.0 * first["kernel"]
    return replace(model, params=params)


def test_knots_are_where_they_are_needed(monkeypatch):
    """Of two spacings the one with fewer knots at the distances of neighbours is taken."""
    flat = make_model("float32")
    steep, cutoff = steep_at_0(flat), flat.dataset_info.graph_cutoff_angstrom
    assert splines_of(flat).grid.scale == cutoff
    found = splines_of(steep)
    assert found.grid.scale < cutoff
    r = np.random.default_rng(0).uniform(0.0, cutoff, 500)
    exact = families.describe(steep).layers[0].radial
    sample = radial._sampler(exact, SpeciesPairs.of(exact, 2))
    for exact, fitted, limit in zip(
        sample(r, 0),
        evaluate_spline(found.coefficients[0], found.grid, r),
        (1e-6, 1e-5),
        strict=True,
    ):
        assert 0.0 < np.abs(fitted - exact).max() < limit * np.abs(exact).max()
    monkeypatch.setattr(radial, "SCALES", (1.0,))
    other = splines_of(steep)
    assert other.grid.knots < found.grid.knots
    used = [grid.knots - grid.position(0.35 * cutoff) for grid in (found.grid, other.grid)]
    assert used[0] < used[1]


@pytest.mark.parametrize(
    ("options", "limited"),
    [({**GAUNT, "correlation": 3}, gaunt_contraction), (E3J, contraction_e3j)],
    ids=["gaunt_tp", "e3j"],
)
def test_what_cannot_be_lowered_runs_as_it_is_defined(options, limited, monkeypatch):
    model = make_model(**options)
    monkeypatch.setattr(limited, "MOST_COEFFICIENTS", 10)
    engine = build_engine(model)
    backend, order = options["symmetric_contraction_backend"], options["correlation"]
    reason = f"{backend} with l_max 2 and correlation {order}"
    assert engine.model.description == f"plain network ({reason})"
    assert max(gradient_error(model, make_structure(), engine)) < EXACT


@pytest.mark.parametrize(
    ("sizes", "fits"), [((3, 3, 4), True), ((4, 4, 4), True), ((8, 8, 4), False)]
)
def test_large_gaunt_contractions_are_seen_before_they_are_made(sizes, fits):
    assert gaunt_contraction.gaunt_contraction_fits(*sizes) == fits
