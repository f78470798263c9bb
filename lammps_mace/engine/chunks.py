"""Chunks: one rank's atoms and pairs arranged for the engine's loops, at fixed capacities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from lammps_mace._pairs import bound_pairs, give_gradient, take_pairs
from lammps_mace.engine.interface import DomainGraph
from lammps_mace.engine.step_arrays import StepArrays


class ChunkRule(NamedTuple):
    """What decides the size of chunks.

    Attributes:
        most_atoms: of a chunk.
        batch: of atoms that are computed together; a multiple of it is best.
        empty_slot: what one costs, in atoms.
    """

    most_atoms: int
    batch: int
    empty_slot: float


# What a chunk needs stays in the caches. The kernels take 6 or 8 atoms at a time, and skip empty
# slots; what XLA computes besides does not.
CPU_CHUNKS = ChunkRule(72, 24, 0.1)
GPU_CHUNKS = ChunkRule(4096, 1, 1.0)  # enough work for every core, some 400 MB in all
_FIXED_COST = 3  # of a chunk, in atoms
_ALIGNMENT = 64  # bytes; XLA copies what begins elsewhere
_MARGIN = 1.3  # room for migration and density changes; each growth compiles everything again


@dataclass(frozen=True)
class Capacity:
    """Sizes of the padded arrays of one rank; jitted functions are compiled for one of these.

    Attributes:
        chunk_atoms: slots of a chunk.
        chunks: of all atoms.
        ghosts: rows of atoms that others own, and one for atoms that are not of the model.
        chunk_pairs: pairs of one chunk.
        pairs: all pairs.
        atoms: own atoms and ghosts, of the model or not.
    """

    chunk_atoms: int = 0
    chunks: int = 0
    ghosts: int = 0
    chunk_pairs: int = 0
    pairs: int = 0
    atoms: int = 0

    @property
    def slots(self) -> int:
        """Rows of own atoms and the empty slots between them."""
        return self.chunks * self.chunk_atoms

    @property
    def rows(self) -> int:
        """Slots and ghosts."""
        return self.slots + self.ghosts

    @property
    def pair_rows(self) -> int:
        """Rows of pair arrays: a chunk's room may start at the last pair and must not run over."""
        return self.pairs + self.chunk_pairs

    @property
    def _sizes(self) -> tuple[int, ...]:
        return self.chunks, self.ghosts, self.chunk_pairs, self.pairs, self.atoms

    def holds(self, need: Capacity) -> bool:
        """Whether arrays of these sizes have room for ``need`` (of the same chunk_atoms)."""
        return all(a >= b for a, b in zip(self._sizes, need._sizes, strict=True))

    def grown_to(self, need: Capacity) -> Capacity:
        """Return sizes with a margin over ``need``, at least the present ones.

        Everything grows together, so that a crowded rank recompiles once, not once per size.
        """
        chunks = max(self.chunks, int(need.chunks * _MARGIN) + 1)
        sizes = zip(self._sizes[1:], need._sizes[1:], strict=True)
        return Capacity(
            need.chunk_atoms, chunks, *(max(a, round_up(int(b * _MARGIN), 64)) for a, b in sizes)
        )


def round_up(n: int, multiple: int) -> int:
    """Return the smallest multiple that is not less than n, at least one."""
    return max(-(-n // multiple), 1) * multiple


def best_chunk_atoms(counts: np.ndarray, rule: ChunkRule = CPU_CHUNKS) -> int:
    """Return the chunk size that wastes least for so many atoms of each species."""
    largest = int(min(rule.most_atoms, round_up(int(counts.max(initial=1)), 4)))
    sizes = np.arange(largest, min(rule.most_atoms // 2, largest) - 1, -rule.batch)
    chunks = -(-counts[:, None] // sizes).sum(axis=0)
    return int(sizes[np.argmin(chunks * (rule.empty_slot * sizes + _FIXED_COST))])


@dataclass(frozen=True, eq=False)
class Layout:
    """Which slot each atom of the model has: their species alone decide.

    Attributes:
        species: int32 [n_local], of all own atoms, -1 for those that are not of the model.
        order: int64 [n_atoms], local rows of the model's atoms sorted by species.
        slots: int64 [n_atoms], slot of each of these.
        chunk_atoms: slots of a chunk.
        chunk_species: int64 [n_chunks].
    """

    species: np.ndarray
    order: np.ndarray
    slots: np.ndarray
    chunk_atoms: int
    chunk_species: np.ndarray

    @classmethod
    def of(cls, species: np.ndarray, rule: ChunkRule, chunk_atoms: int = 0) -> Layout:
        """Return the layout with chunks of so many atoms; 0: of the best size."""
        order = np.flatnonzero(species >= 0)
        order = order[np.argsort(species[order], kind="stable")]
        counts = np.bincount(species[order])
        kinds = np.flatnonzero(counts)
        counts = counts[kinds]
        size = chunk_atoms or best_chunk_atoms(counts, rule)
        chunks = -(-counts // size)
        # Slots, and atoms, before each species.
        before, first = (np.cumsum(n) - n for n in (chunks * size, counts))
        slots = np.arange(len(order)) + np.repeat(before - first, counts)
        # A copy: what LAMMPS lends ends with the step.
        return cls(species.copy(), order, slots, size, np.repeat(kinds, chunks))

    @property
    def n_slots(self) -> int:
        """Slots of all chunks."""
        return len(self.chunk_species) * self.chunk_atoms

    @property
    def atoms_in_chunk(self) -> np.ndarray:
        """Number of atoms of each chunk, int64 [n_chunks]; no chunk is empty."""
        return np.bincount(self.slots // self.chunk_atoms)

    @cached_property
    def in_order(self) -> bool:
        """Whether slots are local rows, so that nothing has to move."""
        return len(self.order) == len(self.species) and np.array_equal(self.slots, self.order)


@dataclass(frozen=True, eq=False)
class Frame:
    """What stays as it is while atoms keep their slots and rows; made once.

    Attributes:
        layout: of own atoms.
        capacity: sizes of the arrays.
        n_total: own atoms and ghosts.
    """

    layout: Layout
    capacity: Capacity
    n_total: int

    def fits(self, graph: DomainGraph, capacity: Capacity) -> bool:
        """Whether these neighbours stand in this frame."""
        mine, species = self.layout.species, graph.species[: graph.n_local]
        same = self.capacity is capacity and self.n_total == graph.n_total
        return same and len(mine) == len(species) and bool((mine == species).all())

    @cached_property
    def rows(self) -> np.ndarray:
        """Return the row of each own atom and ghost in the arrays of features, int32 [n_total]."""
        n_local = len(self.layout.species)
        rows = np.full(self.n_total, self.capacity.rows - 1, np.int32)
        rows[self.layout.order] = self.layout.slots
        rows[n_local:] = self.capacity.slots + np.arange(self.n_total - n_local)
        return rows

    @cached_property
    def constant_inputs(self) -> dict[str, jax.Array]:
        """Return those of :class:`StepArrays` that are the same in every step; all atoms count."""
        layout, n_chunks = self.layout, self.capacity.chunks
        arrays = {
            "chunk_species": filled(n_chunks, layout.chunk_species),
            "atoms_in_chunk": filled(n_chunks, layout.atoms_in_chunk),
            "energy_mask": self.to_slots(np.ones(len(layout.species), bool)),
            "n_chunks": np.int32(len(layout.chunk_species)),
        }
        # JAX passes its own arrays on faster than NumPy's, but takes longer to make them.
        return jax.device_put(arrays)

    def to_slots(self, values: np.ndarray) -> np.ndarray:
        """Return [slots, ...] (zero where empty) of [n_local, ...]."""
        out = np.zeros((self.capacity.slots, *values.shape[1:]), values.dtype)
        out[self.layout.slots] = values[self.layout.order]
        return out

    def from_slots(self, values: np.ndarray) -> np.ndarray:
        """Return [n_local, ...] (zero for atoms not of the model) of [slots, ...]."""
        n_local = len(self.layout.species)
        if self.layout.in_order:
            return values[:n_local]
        out = np.zeros((n_local, *values.shape[1:]), values.dtype)
        out[self.layout.order] = values[self.layout.slots]
        return out


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Which atom and which pair stands where.

    Attributes:
        graph: as they came.
        frame: of their atoms.
        pair_bounds: int32 [capacity.slots + 1], the pairs of slot i are those from [i] to [i + 1].
    """

    graph: DomainGraph
    frame: Frame
    pair_bounds: np.ndarray

    @property
    def capacity(self) -> Capacity:
        """Sizes of the arrays."""
        return self.frame.capacity

    @property
    def n_pairs(self) -> int:
        """Pairs of the model's atoms."""
        return int(self.pair_bounds[-1])


def arrange(
    graph: DomainGraph,
    capacity: Capacity,
    rule: ChunkRule = CPU_CHUNKS,
    last: Frame | None = None,
) -> Arrangement:
    """Sort the atoms by species into chunks and return where they stand.

    The capacity is ``capacity``, or a larger one where that has no room. ``rule`` chooses the
    chunk size when the capacity grows.

    Args:
        last: frame of the last step: it stays while the atoms do.
    """
    species = graph.species[: graph.n_local]
    if last is None or not last.fits(graph, capacity):
        layout = Layout.of(species, rule, capacity.chunk_atoms)
        last = Frame(layout, capacity, graph.n_total)
    bounds, need = _pair_bounds(graph, last.layout, capacity.slots)
    if capacity.holds(need):
        return Arrangement(graph, last, bounds)
    layout = Layout.of(species, rule)
    _, need = _pair_bounds(graph, layout, 0)
    frame = Frame(layout, capacity.grown_to(need), graph.n_total)
    bounds, _ = _pair_bounds(graph, layout, frame.capacity.slots)
    return Arrangement(graph, frame, bounds)


def _pair_bounds(graph: DomainGraph, layout: Layout, n_slots: int) -> tuple[np.ndarray, Capacity]:
    """Return the bounds of at least so many slots' pairs, and the sizes without any margin."""
    bounds = np.empty(max(n_slots, layout.n_slots) + 1, np.int32)
    chunk_pairs = bound_pairs(layout.order, layout.slots, graph.offsets, layout.chunk_atoms, bounds)
    return bounds, Capacity(
        chunk_atoms=layout.chunk_atoms,
        chunks=max(len(layout.chunk_species), 1),
        ghosts=graph.n_total - graph.n_local + 1,
        chunk_pairs=max(chunk_pairs, 1),
        pairs=graph.n_pairs,
        atoms=graph.n_total,
    )


class PairRows(Protocol):
    """The pairs of one step in the engine's order, at full capacity.

    Attributes:
        vectors, senders, sender_species: as in :class:`StepArrays`.
    """

    vectors: Any
    senders: Any
    sender_species: Any

    def gradient(self, gradient: jax.Array, out: Any = None) -> Any:
        """Return dE/d(r_neighbour - r_centre) as the pairs were given, float64 [n_pairs, 3].

        Args:
            out: write it there; only for pairs on the host.
        """


class HostPairRows:
    """Pairs as NumPy arrays.

    Jitted functions take those without a copy where they begin as XLA wants it.
    """

    def __init__(self, arrangement: Arrangement, dtype: np.dtype, cutoff: float) -> None:
        graph, room = arrangement.graph, arrangement.capacity.pair_rows
        self._order, self._offsets = arrangement.frame.layout.order, graph.offsets
        self.vectors = _aligned((room, 3), dtype)
        self.senders, self.sender_species = (_aligned((room,), np.int32) for _ in range(2))
        # Behind the last pair a distance that is harmless in every function.
        take_pairs(
            self._order, self._offsets, graph.senders, np.ascontiguousarray(graph.displacements),
            arrangement.frame.rows, graph.species, 2 * cutoff,
            self.vectors, self.senders, self.sender_species,
        )  # fmt: skip

    def gradient(self, gradient: jax.Array, out: np.ndarray | None = None) -> np.ndarray:
        """Return dE/d(r_neighbour - r_centre) in the given order, float64 [n_pairs, 3].

        Args:
            out: write it there.
        """
        out = np.empty((self._offsets[-1], 3)) if out is None else out
        if len(self._order) < len(self._offsets) - 1:
            out[:] = 0.0  # of atoms that are not of the model
        give_gradient(self._order, self._offsets, np.asarray(gradient), out)
        return out


def padded(arrangement: Arrangement, pairs: PairRows) -> StepArrays:
    """Return the arrays of a step at full capacity."""
    frame, energy_mask = arrangement.frame, arrangement.graph.energy_mask
    arrays: dict[str, Any] = {
        "vectors": pairs.vectors,
        "senders": pairs.senders,
        "sender_species": pairs.sender_species,
        "bounds": arrangement.pair_bounds,
        **frame.constant_inputs,
    }
    if energy_mask is not None:
        arrays["energy_mask"] = frame.to_slots(energy_mask)
    return StepArrays(**arrays)


def _aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array whose memory begins as XLA wants it."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def filled(size: int, values: np.ndarray, rest: int = 0) -> np.ndarray:
    """Return the values and then ``rest``, int32 [size]."""
    out = np.full(size, rest, np.int32)
    out[: len(values)] = values
    return out
