"""The engine's centroid virial against energies of single atoms, differentiated one by one."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from centroid_truth import brute_force, domain_graph_of, two_body
from small import CUTOFF, make_model
from torch_small import DENSITY, NON_LINEAR, RADIAL, TRANSFORM, config_of, make_torch_model

from lammps_mace.engine.engine import EngineOptions
from lammps_mace.engine.interface import NoExchange
from lammps_mace.evaluation import evaluate
from lammps_mace.lowering.build import build_engine

EXACT = 1e-9  # relative, float64
FLOAT32 = 1e-5  # relative: rounding, and positions of some Å
STRONG = {"info": {"avg_num_neighbors": 1.0}}  # sums that are large, and so are their products
MODELS = {
    "one layer": (1, {"num_layers": 1}),
    "two layers": (2, {}),
    "three layers": (3, {"num_layers": 3}),
    "gated": (2, config_of(NON_LINEAR, NON_LINEAR, pair_repulsion=True, **TRANSFORM)),
    "density": (2, config_of({"interaction": "RealAgnosticDensity"}, DENSITY)),
    "soft": (2, config_of(radial={**RADIAL, "transform": "soft"}, pair_repulsion=True)),
}


def model_named(name, dtype="float64"):
    layers, config = MODELS[name]
    if isinstance(config, dict):
        return layers, make_model(dtype, **STRONG, **config)
    return layers, make_torch_model(config, dtype=dtype)


@pytest.fixture
def box():
    """Return four atoms in a triclinic box that is smaller than the cutoff in one direction."""
    cell = [[3.6, 0, 0], [0.7, 4.1, 0], [-0.5, 0.9, 4.6]]
    scaled = [[0.05, 0.22, 0.12], [0.15, 0.66, 0.38], [0.58, 0.17, 0.63], [0.47, 0.61, 0.94]]
    return Atoms("OSiSiO", scaled_positions=scaled, cell=cell, pbc=True)


def difference(a, b):
    """Return the largest difference relative to the largest value of b."""
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize("name", MODELS)
def test_virial_equals_brute_force(box, name):
    layers, model = model_named(name)
    graph = domain_graph_of(model, box, box.positions)
    engine = build_engine(model)
    found, plain = (
        engine.evaluate(g, NoExchange()) for g in (graph, replace(graph, positions=None))
    )
    truth = brute_force(model, box, layers)
    assert difference(found.centroid_virial, truth) < EXACT
    whole = found.centroid_virial.sum(axis=0)
    assert difference(whole + whole.T, 2 * evaluate(model, box).virial) < EXACT
    assert difference(found.pair_gradient, plain.pair_gradient) < 1e-12
    assert difference(found.node_energies, plain.node_energies) < 1e-12
    # Controls: half of each pair to each of its atoms; all of it to the sender.
    assert difference(two_body(graph, found.pair_gradient), truth) > 1e-2
    if layers > 1:
        pairs = np.einsum("pa,pb->pab", graph.displacements, found.pair_gradient)
        one_layer = np.zeros_like(truth)
        np.subtract.at(one_layer, graph.senders, pairs)
        assert difference(one_layer, truth) > 1e4 * EXACT


def test_float32_without_saved_activations_and_with_reference_layers(box):
    layers, model = model_named("three layers")
    truth = brute_force(model, box, layers)
    single = replace(model, dtype="float32")
    for engine in (
        build_engine(single), build_engine(single, options=EngineOptions(saved_bytes=0)),
        build_engine(single, plain=True),
    ):  # fmt: skip
        graph = domain_graph_of(single, box, box.positions)
        found = engine.evaluate(graph, NoExchange())
        assert EXACT < difference(found.centroid_virial, truth) < FLOAT32


def test_the_choice_of_images_changes_nothing(box):
    _, model = model_named("three layers")
    graph = domain_graph_of(model, box, box.positions)
    engine = build_engine(model)
    first = engine.evaluate(graph, NoExchange()).centroid_virial
    steps = np.random.default_rng(0).integers(-2, 3, (len(box), 3))
    elsewhere = box.positions + steps @ np.array(box.cell)
    again = engine.evaluate(replace(graph, positions=elsewhere), NoExchange()).centroid_virial
    assert difference(again, first) < 1e-11
    # Control: positions that do not fit the pairs.
    spoiled = replace(graph, positions=box.positions + 0.3 * steps)
    assert difference(engine.evaluate(spoiled, NoExchange()).centroid_virial, first) > 1e-2


def test_current_is_the_derivative_of_the_energy_moment():
    """d/dt sum_i r_i e_i = sum_j (e_j + W_j) v_j of atoms that nothing else acts on."""
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1, 2]), -1).reshape(-1, 3)
    atoms = Atoms("OSi" * 6, grid * 0.5 * CUTOFF + rng.normal(scale=0.1, size=grid.shape))
    velocities, mass, step = rng.normal(size=grid.shape), 2.0, 1e-4
    _, model = model_named("three layers")

    def moment(time):
        """Return sum_i r_i e_i after a short time: third order is left out, and odd."""
        moved = atoms.copy()
        moved.positions += time * velocities + 0.5 * time**2 * forces / mass
        after = evaluate(model, moved)
        speeds = velocities + 0.5 * time * (forces + after.forces) / mass
        energies = after.energies + 0.5 * mass * (speeds**2).sum(axis=1)
        return energies @ moved.positions

    start = evaluate(model, atoms)
    forces = start.forces
    energies = start.energies + 0.5 * mass * (velocities**2).sum(axis=1)
    graph = domain_graph_of(model, atoms, atoms.positions)
    found = build_engine(model).evaluate(graph, NoExchange())
    potential = np.einsum("jab,jb->a", found.centroid_virial, velocities)
    slope = (moment(step) - moment(-step)) / (2 * step)
    assert np.abs(energies @ velocities + potential - slope).max() < 1e-6 * np.abs(potential).max()
    # Control: the partition of stress/atom.
    other = np.einsum("jab,jb->a", two_body(graph, found.pair_gradient), velocities)
    assert np.abs(other - potential).max() > 1e-2 * np.abs(potential).max()
