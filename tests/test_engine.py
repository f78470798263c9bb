"""The engine against the network it cuts in pieces, and against finite differences."""

import ctypes
import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import CUTOFF, domain_graph, energy_and_gradient, make_model, make_structure

from lammps_mace.engine.capacity import CPU_CHUNKS, GPU_CHUNKS, Capacity, best_chunk_atoms
from lammps_mace.engine.engine import Engine, EngineOptions
from lammps_mace.engine.host_pairs import HostPairs
from lammps_mace.engine.interface import DomainGraph, NoExchange
from lammps_mace.engine.layer import numbers_per_slot
from lammps_mace.engine.step_layout import lay_out
from lammps_mace.lowering.build import build_engine
from lammps_mace.lowering.lower import lower

# Whatever could be one program runs as several.
STEPWISE = EngineOptions(choose_step=lambda fused, stepwise, *_: stepwise)
EXACT = 1e-12  # relative, float64: the same sums in another order
FLOAT32 = 2e-5  # relative to the largest gradient: rounding of float32


def relative(a, b):
    return np.abs(np.asarray(a) - b).max() / np.abs(b).max()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_engine_equals_the_network(layers):
    model, structure = make_model(num_layers=layers, exact_radial=True), make_structure(2)
    prediction = build_engine(model).evaluate(domain_graph(structure), NoExchange())
    energy, gradient = energy_and_gradient(model, structure)
    assert prediction.energy == pytest.approx(energy, rel=EXACT)
    assert relative(prediction.pair_gradient, gradient) < EXACT


@pytest.mark.parametrize("config", [{}, {"num_layers": 3, "num_channels": 5}])
def test_the_kernels_for_a_gpu(config):
    """On a CPU they are interpreted: the same numbers, whatever their speed."""
    model, structure = make_model(**config, exact_radial=True), make_structure()
    prediction = build_engine(model, backend="gpu").evaluate(domain_graph(structure), NoExchange())
    energy, gradient = energy_and_gradient(model, structure)
    assert prediction.energy == pytest.approx(energy, rel=EXACT)
    assert relative(prediction.pair_gradient, gradient) < EXACT


def test_several_chunks_and_float32():
    model, structure = make_model("float32"), make_structure(3)
    prediction = build_engine(model).evaluate(domain_graph(structure), NoExchange())
    energy, gradient = energy_and_gradient(model, structure)
    assert prediction.energy == pytest.approx(energy, rel=FLOAT32)
    assert EXACT < relative(prediction.pair_gradient, gradient) < FLOAT32


@pytest.mark.parametrize(
    ("channels", "narrow"), [(64, True), (4, False)], ids=["sums", "mixed sums"]
)
def test_what_a_layer_saves_changes_nothing(channels, narrow):
    model = lower(make_model("float32", num_channels=channels, num_layers=3))
    graph = domain_graph(make_structure(2))
    engine = Engine(model)
    saving = engine.evaluate(graph, NoExchange())
    buffers = engine.buffers.take(engine.capacity)
    first, second = (sum(x[0].size for x in one.saved) for one in buffers)
    assert [first, second] == [numbers_per_slot(layer.saved_shapes) for layer in model.layers[:2]]
    assert (first < second) == narrow
    engine = Engine(model, EngineOptions(saved_bytes=0))
    again = engine.evaluate(graph, NoExchange())
    assert [one.saved for one in engine.buffers.take(engine.capacity)] == [None, None]
    assert again.energy == pytest.approx(saving.energy, rel=1e-6)
    assert relative(again.pair_gradient, saving.pair_gradient) < 1e-6


def test_gradient_is_the_derivative_of_the_energy():
    model, structure = make_model(), make_structure()
    engine, graph = build_engine(model), domain_graph(structure)
    gradient = engine.evaluate(graph, NoExchange()).pair_gradient
    step = 1e-4
    for pair, axis in [(0, 0), (17, 1), (60, 2)]:
        energies = []
        for sign in (1, -1):
            moved = graph.displacements.copy()
            moved[pair, axis] += sign * step
            shifted = DomainGraph(
                graph.species, graph.offsets, graph.senders, moved, one_domain=True
            )
            energies.append(engine.evaluate(shifted, NoExchange()).energy)
        slope = (energies[0] - energies[1]) / (2 * step)
        assert slope == pytest.approx(gradient[pair, axis], rel=1e-6, abs=1e-7)


def test_atoms_that_are_not_part_of_the_model():
    model, structure = make_model(), make_structure()
    kept = structure.species >= 0
    kept[3] = False
    pairs = kept[structure.centres] & kept[structure.neighbours]
    centres = structure.centres[pairs]
    graph = DomainGraph(
        species=np.where(kept, structure.species, -1).astype(np.int32),
        offsets=np.searchsorted(centres, np.arange(len(kept) + 1)),
        senders=structure.neighbours[pairs].astype(np.int32),
        displacements=structure.vectors[pairs],
        one_domain=True,
    )
    prediction = build_engine(model).evaluate(graph, NoExchange())
    assert prediction.node_energies[3] == 0.0
    assert np.all(prediction.node_energies[kept] != 0.0)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_only_counted_atoms_have_energies(layers):
    engine, graph = build_engine(make_model(num_layers=layers)), domain_graph(make_structure())
    whole = engine.evaluate(graph, NoExchange())
    counted = np.arange(graph.n_local) < 3
    parts = [
        engine.evaluate(replace(graph, energy_mask=mask), NoExchange())
        for mask in (counted, ~counted)
    ]
    for part, mask in zip(parts, (counted, ~counted), strict=True):
        np.testing.assert_array_equal(part.node_energies != 0, mask)
        assert relative(part.pair_gradient, whole.pair_gradient) > 0.01  # the control
    sums = [p.node_energies for p in parts], [p.pair_gradient for p in parts]
    assert relative(sum(sums[0]), whole.node_energies) < EXACT
    assert relative(sum(sums[1]), whole.pair_gradient) < EXACT


@pytest.mark.parametrize("n_atoms", [0, 1])
def test_no_pairs(n_atoms):
    model = make_model()
    empty = DomainGraph(
        species=np.zeros(n_atoms, np.int32),
        offsets=np.zeros(n_atoms + 1, np.int64),
        senders=np.zeros(0, np.int32),
        displacements=np.zeros((0, 3)),
        one_domain=True,
    )
    prediction = build_engine(model).evaluate(empty, NoExchange())
    info = model.dataset_info
    isolated = info.scaling_mean + info.atomic_energies()[8]
    # Without neighbours the messages are zero, and so is the network: no biases.
    assert prediction.energy == pytest.approx(n_atoms * isolated)
    assert prediction.pair_gradient.shape == (0, 3)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 3}, {"num_layers": 1}])
def test_one_program_and_one_for_each_pass(options, dtype):
    model, graph = lower(make_model(dtype, **options)), domain_graph(make_structure(2))
    one, several = Engine(model), Engine(model, STEPWISE)
    fused = one.evaluate(graph, NoExchange())
    stepwise = several.evaluate(graph, NoExchange())
    assert one.compilations.keys() == {"step"}
    assert "last layer" in several.compilations
    limit = EXACT if dtype == "float64" else FLOAT32
    assert relative(stepwise.node_energies, fused.node_energies) < limit
    assert relative(stepwise.pair_gradient, fused.pair_gradient) < limit
    scaled = replace(model, energy_scale=1.1 * model.energy_scale)  # the control
    other = Engine(scaled, STEPWISE).evaluate(graph, NoExchange())
    assert relative(other.node_energies, fused.node_energies) > limit


def test_one_program_for_few_atoms(monkeypatch):
    made, graph = lower(make_model()), domain_graph(make_structure())
    few, many = Engine(made), Engine(made)
    few.evaluate(graph, NoExchange())
    monkeypatch.setattr("lammps_mace.engine.step_choice.FUSED_BYTES", 1000)
    many.evaluate(graph, NoExchange())
    assert few.compilations.keys() == {"step"}
    assert many.compilations.keys() == {"forward 1", "last layer", "backward 1"}


def test_stages_of_one_program():
    engine, graph = build_engine(make_model(num_layers=3)), domain_graph(make_structure(2))
    engine.evaluate(graph, NoExchange())
    engine.clock.reset()
    begun = time.perf_counter()
    engine.evaluate(graph, NoExchange())
    passed = time.perf_counter() - begun
    assert all(seconds > 0.0 for seconds in engine.clock.seconds.values())
    assert set(engine.clock.seconds) == {
        "neighbour data", "forward", "exchange", "last layer", "backward", "forces",
    }  # fmt: skip
    assert 0.5 * passed < sum(engine.clock.seconds.values()) <= passed


class _Between(NoExchange):
    """Exchanges that Python makes; they fail."""

    def forward_exchange(self, rows, row_index):
        raise RuntimeError("no network")


class _Within(NoExchange):
    """Exchanges that the program of a step calls: a step as in cython/bridge.h; they fail."""

    def __init__(self):
        refusal = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        self.reason = ctypes.create_string_buffer(b"no network")
        self.exchange = refusal(lambda *_: ctypes.addressof(self.reason))
        words = [0] * 17  # n_local to exchanger
        exchange = ctypes.cast(self.exchange, ctypes.c_void_p).value
        self.step = np.array([*words, exchange, 0, 0], np.uint64)

    def exchange_handle(self, row_index, n_rows):
        assert row_index.max() < n_rows
        return np.array([self.step.ctypes.data, row_index.ctypes.data], np.uint64).view(np.uint32)


@pytest.mark.parametrize("exchange", [_Between, _Within])
def test_after_a_failure_the_engine_works_on(exchange):
    # JAX as it is in tests runs programs in a thread of its own, which is all the same here.
    chosen = EngineOptions(
        choose_step=lambda fused, stepwise, layout, arrays, exchange: (
            fused if fused.handle(layout, exchange) is not None else stepwise
        )
    )
    engine = build_engine(make_model("float32"), options=chosen)
    graph = domain_graph(make_structure())
    before = engine.evaluate(graph, NoExchange())
    with pytest.raises(RuntimeError, match="no network"):
        engine.evaluate(replace(graph, one_domain=False), exchange())
    after = engine.evaluate(graph, NoExchange())
    assert np.array_equal(after.pair_gradient, before.pair_gradient)


def test_a_fused_step_needs_a_handle():
    options = EngineOptions(choose_step=lambda fused, *_: fused)
    engine, graph = build_engine(make_model(), options=options), domain_graph(make_structure())
    with pytest.raises(ValueError, match="exchange: it has no handle for a fused step; use Step"):
        engine.evaluate(replace(graph, one_domain=False), NoExchange())


def test_gradients_of_pairs_on_a_gpu_are_not_written_to_the_host():
    graph = domain_graph(make_structure())
    on_gpu = replace(graph, receivers=graph.senders)
    with pytest.raises(ValueError, match="out: gradients of pairs on a GPU are made there; give"):
        build_engine(make_model()).evaluate(on_gpu, NoExchange(), np.zeros((graph.n_pairs, 3)))


def test_moving_atoms_do_not_compile_again():
    engine = build_engine(make_model())
    for seed in range(4):
        structure = make_structure(2, rattle=0.1 + 0.1 * seed, seed=seed)
        engine.evaluate(domain_graph(structure), NoExchange())
    assert set(engine.compilations.values()) == {1}
    engine.evaluate(domain_graph(make_structure(3)), NoExchange())
    assert set(engine.compilations.values()) == {2}


def test_atoms_that_change_places_between_steps():
    """As many atoms as before, but others: the layout of the last step is void."""
    structure = make_structure(2)
    other = replace(structure, species=1 - structure.species)
    engine, fresh = build_engine(make_model()), build_engine(make_model())
    first = engine.evaluate(domain_graph(structure), NoExchange())
    after = engine.evaluate(domain_graph(other), NoExchange())
    expected = fresh.evaluate(domain_graph(other), NoExchange())
    assert np.array_equal(after.node_energies, expected.node_energies)
    assert np.array_equal(after.pair_gradient, expected.pair_gradient)
    assert relative(first.pair_gradient, expected.pair_gradient) > 0.01  # the control


def test_capacity_has_room_and_never_shrinks():
    graph = domain_graph(make_structure(2))
    room = lay_out(graph, Capacity()).capacity
    assert room.pairs > graph.n_pairs
    assert lay_out(graph, room).capacity is room
    small = lay_out(domain_graph(make_structure()), room).capacity
    assert small is room
    more = lay_out(domain_graph(make_structure(3)), room).capacity
    assert more.slots > room.slots
    assert more.pairs > room.pairs


def test_a_slice_of_a_chunk_never_runs_over_the_end():
    """It would be moved back, silently; few pairs have rooms of one size, rounded up."""
    capacity = Capacity()
    for n_pairs in (2, 30, 40, 90, 150, 260, 300, 420):
        offsets = np.array([0, n_pairs // 2, n_pairs])
        pairs = np.zeros(n_pairs, np.int32), np.ones((n_pairs, 3))
        graph = DomainGraph(np.zeros(2, np.int32), offsets, *pairs, one_domain=True)
        capacity = lay_out(graph, capacity).capacity
        assert capacity.pair_rows >= n_pairs + capacity.chunk_pairs


def test_chunks_hold_one_species_each_and_every_atom_once():
    graph = domain_graph(make_structure(3))
    layout = lay_out(graph, Capacity())
    species = layout.atoms.to_slots(graph.species + 1)
    chunks = species.reshape(-1, layout.capacity.chunk_atoms)
    kinds, atoms = layout.atoms.chunk_species, layout.atoms.atoms_in_chunk
    for kind, n_atoms, chunk in zip(kinds, atoms, chunks, strict=False):
        assert set(chunk[:n_atoms]) == {kind + 1}
        assert not chunk[n_atoms:].any()
    assert atoms.sum() == graph.n_local
    assert np.array_equal(layout.atoms.from_slots(species), graph.species + 1)
    pairs = HostPairs(layout, np.dtype("float64"), CUTOFF)
    assert not np.array_equal(-pairs.vectors[: graph.n_pairs], graph.displacements)
    assert np.array_equal(pairs.unpack_gradient(pairs.vectors), graph.displacements)


def test_pairs_go_to_xla_without_a_copy():
    layout = lay_out(domain_graph(make_structure(3)), Capacity())
    first = HostPairs(layout, np.dtype("float32"), CUTOFF)
    moved = replace(
        layout, graph=replace(layout.graph, displacements=layout.graph.displacements + 1)
    )
    total = jax.jit(jnp.sum)
    before, kept = total(first.vectors), jnp.array(first.vectors)
    second = HostPairs(moved, np.dtype("float32"), CUTOFF, first)
    n_pairs = layout.n_pairs
    assert second.vectors is first.vectors
    assert total(second.vectors) == pytest.approx(float(before) - 3 * n_pairs, rel=1e-5)
    assert total(kept) == before


def test_pairs_take_the_memory_of_the_last_step_while_it_fits():
    small, large = (lay_out(domain_graph(make_structure(n)), Capacity()) for n in (1, 3))
    last = HostPairs(small, np.dtype("float32"), CUTOFF)
    assert HostPairs(small, np.dtype("float32"), CUTOFF, last).vectors is last.vectors
    other = HostPairs(large, np.dtype("float32"), CUTOFF, last)
    assert not np.shares_memory(other.vectors, last.vectors)


def test_chunk_sizes_waste_little():
    assert best_chunk_atoms(np.array([216])) == 72
    assert best_chunk_atoms(np.array([1728])) == CPU_CHUNKS.most_atoms
    assert best_chunk_atoms(np.array([2048])) == 72  # not 71, of which no whole batches come
    assert best_chunk_atoms(np.array([100, 50])) == 72
    assert best_chunk_atoms(np.array([54, 54])) == 56
    assert best_chunk_atoms(np.array([8])) == 8
    assert best_chunk_atoms(np.zeros(0, int)) >= 1
    # Empty slots are computed there: 3 chunks of 4,096 would have 3,888 of them.
    assert best_chunk_atoms(np.array([4000, 4400]), GPU_CHUNKS) <= 2200


def test_full_chunks_of_mixed_species_are_not_in_order():
    """Slots without gaps are still not the local rows: atoms stand by species."""
    structure = replace(make_structure(2), species=np.tile([0, 1], 32).astype(np.int32))
    atoms = lay_out(domain_graph(structure), Capacity()).atoms
    assert np.array_equal(atoms.slots, np.arange(64))
    assert not atoms.in_order
    assert list(atoms.from_slots(atoms.to_slots(np.arange(64)))) == list(range(64))
