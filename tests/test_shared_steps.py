"""Engines that run one after the other: they share memory, and one packs the pairs for all."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from small import domain_graph, make_model, make_structure

from lammps_mace.engine.buffers import BufferPool
from lammps_mace.engine.capacity import Capacity
from lammps_mace.engine.engine import Engine
from lammps_mace.engine.interface import NoExchange
from lammps_mace.lowering.build import build_engine
from lammps_mace.lowering.lower import lower


@pytest.fixture(scope="module")
def lowered():
    """Return two models that differ in their weights alone."""
    model = make_model("float32")
    other = jax.tree.map(lambda weight: 1.02 * weight, model.params)
    return lower(model), lower(replace(model, params=other))


def address(buffers):
    return buffers[0].features.sent.unsafe_buffer_pointer()


def evaluate(engine, graph):
    found = engine.evaluate(graph, NoExchange())
    return found.node_energies.copy(), found.pair_gradient.copy()


def taken(engine):
    """Return the address of the buffers that the next step takes; they stay for it."""
    buffers = engine.buffers.take(engine.capacity)
    engine.buffers.put_back(buffers)
    return address(buffers)


def test_models_of_one_shape_take_the_same_memory(lowered):
    graph = domain_graph(make_structure(2))
    alone = [evaluate(Engine(model), graph) for model in lowered]
    assert not np.array_equal(alone[0][1], alone[1][1])
    one, other = map(Engine, lowered)
    for _ in range(2):
        for engine, expected in zip((one, other), alone, strict=True):
            for found, value in zip(evaluate(engine, graph), expected, strict=True):
                np.testing.assert_array_equal(found, value)
    assert taken(one) == taken(other)


def test_other_shapes_take_memory_of_their_own(lowered):
    one, other = map(Engine, lowered)
    evaluate(one, domain_graph(make_structure(2)))
    evaluate(other, domain_graph(make_structure(3)))
    assert one.capacity != other.capacity
    wide = build_engine(make_model("float32", num_channels=7))
    evaluate(wide, domain_graph(make_structure(2)))
    assert len({taken(one), taken(other), taken(wide)}) == 3


def test_memory_goes_with_the_last_engine(lowered):
    model, capacity = lowered[0], Capacity(chunk_atoms=8, chunks=3, ghosts=1)
    pools = [BufferPool(model.layers[:1], model.dtype, 2**31) for _ in range(2)]
    first = pools[0].take(capacity)
    pools[0].put_back(first)
    assert pools[1].take(replace(capacity)) is first
    pools[1].put_back(first)
    pools.clear()
    assert BufferPool(model.layers[:1], model.dtype, 2**31).take(capacity) is not first


def test_a_graph_with_a_number_is_packed_once(lowered):
    one, other = map(Engine, lowered)
    graph = domain_graph(make_structure(2))
    alone = [evaluate(Engine(model), graph) for model in lowered]
    closer = replace(graph, displacements=0.95 * graph.displacements)
    np.testing.assert_array_equal(evaluate(one, replace(graph, number=-1))[1], alone[0][1])
    # Nothing of it is read: the pairs of this number are packed.
    np.testing.assert_array_equal(evaluate(other, replace(closer, number=-1))[1], alone[1][1])
    assert other.capacity is one.capacity
    for control in (replace(closer, number=-2), closer):
        assert not np.array_equal(evaluate(other, control)[1], alone[1][1])


def test_another_precision_packs_its_own(lowered):
    graph = replace(domain_graph(make_structure(2)), number=-3)
    evaluate(Engine(lowered[0]), graph)
    model = make_model("float64")
    found = evaluate(build_engine(model), graph)
    np.testing.assert_array_equal(found[1], evaluate(build_engine(model), graph)[1])


def test_an_engine_with_more_room_keeps_it(lowered):
    """A packing that has less room than an engine was compiled for is not for it."""
    one, other = map(Engine, lowered)
    small = domain_graph(make_structure(2))
    evaluate(other, domain_graph(make_structure(3)))
    room = other.capacity
    numbered = replace(small, number=-4)
    evaluate(one, numbered)
    evaluate(other, numbered)
    assert other.capacity is room
    assert one.capacity is not room
