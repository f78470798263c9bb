"""Symmetries of the network, and what padding and isolated atoms give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import energy_and_gradient, make_model, make_structure

from lammps_mace import Mace
from lammps_mace.graph import Edges

EXACT = 1e-10  # relative, float64


def node_energies(model, graph):
    network = Mace(model.config, model.dataset_info)
    params = jax.tree.map(jnp.asarray, model.params)
    return np.asarray(
        jax.jit(lambda g: network.apply({"params": params}, g).nodes.features["energy"])(graph)
    )


def turned(structure, matrix):
    """Return the structure with all vectors transformed."""
    return type(structure)(
        structure.positions @ matrix.T,
        structure.cell @ matrix.T,
        structure.species,
        structure.centres,
        structure.neighbours,
        structure.vectors @ matrix.T,
    )


def rotation(seed=0):
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


@pytest.fixture(scope="module", params=["e3nn", "e3nn_symmetric", "pseudotensors"])
def model(request):
    if request.param == "pseudotensors":
        return make_model(include_pseudotensors=True)
    return make_model(symmetric_contraction_backend=request.param, correlation=3)


@pytest.mark.parametrize("parity", [1, -1])
def test_rotation_and_inversion(model, parity):
    structure, matrix = make_structure(), parity * rotation()
    energy, gradient = energy_and_gradient(model, structure)
    turned_energy, turned_gradient = energy_and_gradient(model, turned(structure, matrix))
    assert turned_energy == pytest.approx(energy, rel=EXACT)
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(turned_gradient, gradient @ matrix.T, atol=EXACT * scale)


def test_a_shear_is_noticed(model):
    sheared = turned(make_structure(), np.array([[1, 0.05, 0], [0, 1, 0], [0, 0, 1]]))
    energy, _ = energy_and_gradient(model, make_structure())
    assert energy_and_gradient(model, sheared)[0] != pytest.approx(energy, rel=1e-6)


def test_permutation(model):
    structure = make_structure()
    order = np.random.default_rng(1).permutation(len(structure.species))
    new_place = np.argsort(order)  # atom order[i] is now atom i
    graph = structure.graph()
    permuted = graph.replace(
        nodes=graph.nodes.replace(species=graph.nodes.species[order]),
        senders=jnp.asarray(new_place)[graph.senders],
        receivers=jnp.asarray(new_place)[graph.receivers],
    )
    energies = node_energies(model, graph)
    np.testing.assert_allclose(node_energies(model, permuted), energies[order], rtol=EXACT)
    assert np.abs(energies - energies[order]).max() > 1e-3  # the atoms are not all alike


def test_padding_adds_nothing():
    model, structure = make_model(), make_structure()
    graph = structure.graph()
    n = graph.n_nodes
    padded = graph.replace(
        nodes=graph.nodes.replace(
            species=jnp.append(graph.nodes.species, jnp.zeros(2, jnp.int32)),
            mask=jnp.arange(n + 2) < n,
        ),
        edges=Edges(
            vectors=jnp.concatenate([graph.edges.vectors, jnp.full((3, 3), 7.0)]),
            mask=jnp.arange(graph.n_edges + 3) < graph.n_edges,
        ),
        senders=jnp.append(graph.senders, jnp.full(3, n, jnp.int32)),
        receivers=jnp.append(graph.receivers, jnp.full(3, n, jnp.int32)),
    )
    energies = node_energies(model, padded)
    np.testing.assert_allclose(energies[:n], node_energies(model, graph), rtol=EXACT)
    np.testing.assert_array_equal(energies[n:], 0.0)


def test_positions_shifts_and_translation():
    model, structure = make_model(), make_structure(2)
    graph = structure.graph()
    shifts = np.linalg.solve(
        structure.cell.T,
        (
            structure.vectors
            - structure.positions[structure.neighbours]
            + structure.positions[structure.centres]
        ).T,
    ).T
    expected = node_energies(model, graph)
    for offset in (0.0, 1.7):
        by_position = graph.replace(
            nodes=graph.nodes.replace(positions=jnp.asarray(structure.positions + offset)),
            # The centre receives: r_receiver - r_sender is minus LAMMPS's vector.
            edges=Edges(shifts=-jnp.asarray(shifts.round())),
            globals=graph.globals.replace(cell=jnp.asarray(structure.cell)[None]),
        )
        np.testing.assert_allclose(node_energies(model, by_position), expected, rtol=EXACT)


def test_graph_without_geometry():
    graph = make_structure().graph().replace(edges=Edges())
    with pytest.raises(ValueError, match=r"needs edges\.vectors or nodes\.positions"):
        graph.edge_vectors()


def test_too_few_species_rows():
    with pytest.raises(ValueError, match="num_species=1 is less than the 2 elements"):
        make_model(num_species=1)
