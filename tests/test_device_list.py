"""The device keeps the neighbour list: against the path with pairs on the host."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from listed import listed_graph, summed
from small import domain_graph, make_model, make_structure

from lammps_mace.engine.interface import NoExchange
from lammps_mace.engine.transfers import EXCHANGE, LIST, STEP
from lammps_mace.lowering.build import build_engine

TIGHT = {"rel": 1e-12, "abs": 1e-12}


@pytest.fixture(scope="module")
def engine():
    return build_engine(make_model())


def on_host(engine, structure):
    """Return energies, forces and virials of atoms from pairs on the host."""
    found = engine.evaluate(domain_graph(structure), NoExchange())
    return found.node_energies, *summed(structure, found.pair_gradient)


def is_the_same(found, expected):
    """Whether a prediction has these energies, forces and virials."""
    energies, forces, virials = expected
    return (
        found.node_energies == pytest.approx(energies, **TIGHT)
        and found.energy == pytest.approx(energies.sum(), **TIGHT)
        and found.forces == pytest.approx(forces, **TIGHT)
        and found.virial == pytest.approx(virials.sum(axis=0), **TIGHT)
        and found.virials == pytest.approx(virials, **TIGHT)
    )


def test_both_paths_agree(engine):
    structure = make_structure(2, seed=4)
    graph = listed_graph(structure, wants_virials=True)
    assert graph.n_pairs > 1.3 * len(structure.vectors)  # the skin has pairs
    found = engine.evaluate_list(graph, NoExchange())
    assert is_the_same(found, on_host(engine, structure))
    assert (found.n_close, found.coincident, found.rowless) == (0, -1, -1)
    moved = make_structure(2, rattle=0.21, seed=4)
    assert not is_the_same(found, on_host(engine, moved))  # the comparison sees 0.01 Å


@pytest.mark.parametrize("changes", [{"exact_radial": True}, {"num_layers": 1}, {"num_layers": 3}])
def test_other_models(changes):
    structure = make_structure(seed=4)
    other = build_engine(make_model(**changes))
    found = other.evaluate_list(listed_graph(structure, wants_virials=True), NoExchange())
    assert is_the_same(found, on_host(other, structure))


def test_atoms_move_under_a_list(engine):
    """Pairs come into the cutoff and leave it; nothing is compiled and no list goes up."""
    start, moved = (make_structure(2, rattle=rattle, seed=4) for rattle in (0.2, 0.24))
    graph = listed_graph(start, wants_virials=True)
    engine.evaluate_list(graph, NoExchange())
    compiled = engine.compilations
    engine.transfers.reset()
    shift = moved.positions - start.positions
    later = replace(graph, positions=graph.positions + shift[graph.rows])
    assert is_the_same(engine.evaluate_list(later, NoExchange()), on_host(engine, moved))
    assert len(moved.vectors) != len(start.vectors)
    assert engine.compilations == {**compiled, "step": engine.compilations["step"]}
    assert engine.transfers.bytes[LIST] == 0


@pytest.mark.parametrize("backend", ["gpu", "xla"])
def test_the_kernels_for_a_gpu(engine, backend):
    """In float32 and with what runs on a GPU, against float64."""
    structure = make_structure()
    other = build_engine(make_model("float32"), backend=backend)
    found = other.evaluate_list(listed_graph(structure), NoExchange())
    energies, forces, _ = on_host(engine, structure)
    assert found.node_energies == pytest.approx(energies, abs=1e-4)
    assert found.forces == pytest.approx(forces, abs=2e-4 * np.abs(forces).max())
    assert found.virials is None


def test_atoms_that_are_not_part_of_the_model(engine):
    structure = make_structure(2, seed=4)
    species = structure.species.copy()
    species[::3] = -1
    graph = listed_graph(structure, species=species, wants_virials=True)
    found = engine.evaluate_list(graph, NoExchange())
    seen = (species[structure.centres] >= 0) & (species[structure.neighbours] >= 0)
    part = replace(
        structure, species=species, centres=structure.centres[seen],
        neighbours=structure.neighbours[seen], vectors=structure.vectors[seen],
    )  # fmt: skip
    assert is_the_same(found, on_host(engine, part))
    assert not found.node_energies[::3].any()
    # The same list, and another atom is hidden: layouts follow.
    species = np.roll(species, 1)
    again = engine.evaluate_list(replace(graph, species=species), NoExchange())
    assert not again.node_energies[1::3].any()
    assert found.energy != pytest.approx(again.energy, abs=1e-6)


def test_a_rank_without_atoms(engine):
    nothing = np.empty(0, np.int32)
    graph = replace(
        listed_graph(make_structure()), number=7, species=nothing, rows=nothing,
        offsets=np.zeros(1, np.int64), neighbours=nothing, positions=np.empty((0, 3)),
    )  # fmt: skip
    found = engine.evaluate_list(graph, NoExchange())
    assert (found.energy, len(found.forces), len(found.node_energies)) == (0.0, 0, 0)
    assert not found.virial.any()


def test_what_is_remarkable_about_pairs(engine):
    structure = make_structure(2, seed=4)
    near = np.linalg.norm(structure.vectors, axis=1)
    closest = float(np.sort(near)[9] + 1e-6)  # ten directed pairs are closer
    graph = listed_graph(structure, closest=closest)
    assert engine.evaluate_list(graph, NoExchange()).n_close == 10
    ghost = int(graph.neighbours[np.argmin(near)])
    rows = graph.rows.copy()
    rows[ghost] = -1
    lost = engine.evaluate_list(replace(graph, number=2, rows=rows), NoExchange())
    assert lost.rowless == ghost
    positions = graph.positions.copy()
    centre = int(np.searchsorted(graph.offsets, np.argmax(graph.neighbours == ghost), "right") - 1)
    positions[ghost] = positions[centre]
    assert engine.evaluate_list(replace(graph, positions=positions), NoExchange()).coincident >= 0


def test_bytes_do_not_depend_on_pairs(engine):
    """A step moves positions, forces, energies, and ten sums; not more with twice the pairs."""
    structure = make_structure(2, seed=4)
    engine.evaluate_list(listed_graph(structure, skin=2.0, number=3), NoExchange())
    moved = []
    for skin in (0.1, 2.0):
        graph = listed_graph(structure, skin, number=int(10 * skin))
        engine.evaluate_list(graph, NoExchange())
        engine.transfers.reset()
        engine.evaluate_list(graph, NoExchange())
        moved.append((graph.n_pairs, engine.transfers.bytes[STEP]))
        assert engine.transfers.bytes[LIST] == engine.transfers.bytes[EXCHANGE] == 0
    (few, small), (many, large) = moved
    assert many > 2 * few
    assert small == large
    assert large <= 60 * len(graph.rows)


def test_nothing_travels_uncounted(engine):
    """JAX itself refuses other transfers to the device."""
    graph = listed_graph(make_structure(2, seed=4), number=5)
    engine.evaluate_list(graph, NoExchange())
    with jax.transfer_guard_host_to_device("disallow"):
        engine.evaluate_list(graph, NoExchange())
        with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
            jax.jit(lambda x: x + 1)(np.ones(3))


def test_a_step_is_one_program(engine):
    graph = listed_graph(make_structure(2, seed=4), number=6)
    engine.evaluate_list(graph, NoExchange())
    called = [name for name in engine.compilations if name.startswith("device")]
    assert set(called) <= {"device step", "device virials"}
