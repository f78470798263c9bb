"""Chunks: one rank's atoms and pairs arranged for the engine's loops, at fixed capacities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from lammps_mace.coupling.neighbors import Neighbors

MAX_CHUNK_ATOMS = 64  # on a CPU: what a chunk needs stays in the caches
MAX_CHUNK_ATOMS_GPU = 1024  # enough work for every core of a GPU, some 100 MB of pair data
_FIXED_COST = 3  # of a chunk, in atoms
_MARGIN = 1.3  # room for migration and density changes; each growth compiles everything again


@struct.dataclass
class Inputs:
    """The padded arrays of one step.

    Atoms stand in slots, sorted by species; a chunk is a row of slots of one species, filled up
    with empty slots. Ghosts follow the slots.

    Attributes:
        vectors: [pair rows, 3], r_receiver - r_sender, Å: the model's convention.
        senders: int32 [pair rows], slots or ghosts.
        sender_species: int32 [pair rows].
        starts, ends: int32 [slots], pairs of each slot.
        chunk_species: int32 [chunks].
        counted: [slots], 1 for atoms whose energy counts, else 0.
        n_chunks: int32, chunks that hold atoms.
    """

    vectors: jax.Array
    senders: jax.Array
    sender_species: jax.Array
    starts: jax.Array
    ends: jax.Array
    chunk_species: jax.Array
    counted: jax.Array
    n_chunks: jax.Array


class Chunk(NamedTuple):
    """The atoms of one chunk and their pairs.

    Attributes:
        slot, pair: first slot, first pair.
        species: of all its atoms.
        starts, ends: int32 [chunk_atoms], pairs of each atom.
        counted: [chunk_atoms].
        n_pairs: room for pairs, not traced.
    """

    slot: jax.Array
    pair: jax.Array
    species: jax.Array
    starts: jax.Array
    ends: jax.Array
    counted: jax.Array
    n_pairs: int

    @property
    def n_atoms(self) -> int:
        """Slots of the chunk."""
        return self.starts.shape[0]

    def atoms(self, whole: jax.Array) -> jax.Array:
        """Return the chunk's rows of an array with one row per slot (and ghost)."""
        return jax.lax.dynamic_slice_in_dim(whole, self.slot, self.n_atoms)

    def put_atoms(self, whole: jax.Array, rows: jax.Array) -> jax.Array:
        """Return the array with the chunk's rows replaced."""
        return jax.lax.dynamic_update_slice_in_dim(whole, rows, self.slot, 0)

    def pairs(self, whole: jax.Array) -> jax.Array:
        """Return the chunk's rows, and more up to its room, of an array with one row per pair."""
        return jax.lax.dynamic_slice_in_dim(whole, self.pair, self.n_pairs)

    def add_pairs(self, whole: jax.Array, rows: jax.Array) -> jax.Array:
        """Return the array with ``rows`` added; rows beyond the chunk's pairs must be zero."""
        return jax.lax.dynamic_update_slice_in_dim(whole, self.pairs(whole) + rows, self.pair, 0)

    def pair_mask(self) -> jax.Array:
        """Return which rows of :meth:`pairs` are the chunk's, bool [n_pairs]."""
        return self.pair + jnp.arange(self.n_pairs, dtype=jnp.int32) < self.ends[-1]

    def receivers(self) -> jax.Array:
        """Return the atom in the chunk that each pair belongs to, int32 [n_pairs]."""
        counts = self.ends - self.starts
        return jnp.repeat(
            jnp.arange(self.n_atoms, dtype=jnp.int32), counts, total_repeat_length=self.n_pairs
        )


def cut(inputs: Inputs, k: jax.Array, chunk_atoms: int, chunk_pairs: int) -> Chunk:
    """Return chunk ``k``."""
    slot = k * chunk_atoms

    def rows(whole: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(whole, slot, chunk_atoms)

    starts = rows(inputs.starts)
    return Chunk(
        slot, starts[0], inputs.chunk_species[k], starts, rows(inputs.ends), rows(inputs.counted),
        chunk_pairs,
    )  # fmt: skip


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


def best_chunk_atoms(counts: np.ndarray, limit: int = MAX_CHUNK_ATOMS) -> int:
    """Return the chunk size that wastes least for so many atoms of each species."""
    largest = int(min(limit, round_up(int(counts.max(initial=1)), 4)))
    sizes = np.arange(min(limit // 2, largest), largest + 1)
    chunks = -(-counts[:, None] // sizes).sum(axis=0)
    return int(sizes[np.argmin(chunks * (sizes + _FIXED_COST))])


@dataclass(frozen=True)
class Arrangement:
    """Which atom and which pair stands where.

    Attributes:
        neighbors: as they came.
        order: int [n_atoms], local rows of the model's atoms sorted by species.
        slots: int [n_atoms], slot of each of these.
        capacity: sizes of the arrays.
        chunk_species: int [n_chunks].
    """

    neighbors: Neighbors
    order: np.ndarray
    slots: np.ndarray
    capacity: Capacity
    chunk_species: np.ndarray

    @cached_property
    def in_order(self) -> bool:
        """Whether slots are local rows, so that nothing has to move."""
        n = self.neighbors.n_local
        return len(self.order) == n and bool(np.array_equal(self.slots, self.order))

    @cached_property
    def rows(self) -> np.ndarray:
        """Return the row of each own atom and ghost in the arrays of features, int32 [n_total]."""
        n_local, n_total = self.neighbors.n_local, self.neighbors.n_total
        rows = np.full(n_total, self.capacity.rows - 1, np.int32)
        rows[self.order] = self.slots
        rows[n_local:] = self.capacity.slots + np.arange(n_total - n_local)
        return rows

    def to_slots(self, values: np.ndarray) -> np.ndarray:
        """Return [slots, ...] (zero where empty) of [n_local, ...]."""
        out = np.zeros((self.capacity.slots, *values.shape[1:]), values.dtype)
        out[self.slots] = values[self.order]
        return out

    def from_slots(self, values: np.ndarray) -> np.ndarray:
        """Return [n_local, ...] (zero for atoms not of the model) of [slots, ...]."""
        if self.in_order:
            return values[: self.neighbors.n_local]
        out = np.zeros((self.neighbors.n_local, *values.shape[1:]), values.dtype)
        out[self.order] = values[self.slots]
        return out


def arrange(
    neighbors: Neighbors, capacity: Capacity, chunk_limit: int = MAX_CHUNK_ATOMS
) -> Arrangement:
    """Sort the atoms by species into chunks and return where they stand.

    The capacity is ``capacity``, or a larger one where that has no room. A chunk size, at most
    ``chunk_limit``, is chosen when the capacity grows.
    """
    local = neighbors.species[: neighbors.n_local]
    order = np.flatnonzero(local >= 0)
    order = order[np.argsort(local[order], kind="stable")]
    species = local[order]
    counts = np.bincount(species)
    kinds = np.flatnonzero(counts)
    counts = counts[kinds]
    first = np.cumsum(counts) - counts
    size = capacity.chunk_atoms or best_chunk_atoms(counts, chunk_limit)
    layout = _layout(neighbors, order, first, counts, size)
    if not capacity.holds(layout.need):
        if capacity.chunk_atoms != (best := best_chunk_atoms(counts, chunk_limit)):
            layout = _layout(neighbors, order, first, counts, best)
        capacity = capacity.grown_to(layout.need)
    return Arrangement(
        neighbors, order, layout.slots, capacity, np.repeat(kinds, layout.chunks_of_species)
    )


class _Layout(NamedTuple):
    slots: np.ndarray
    chunks_of_species: np.ndarray
    need: Capacity


def _layout(
    neighbors: Neighbors, order: np.ndarray, first: np.ndarray, counts: np.ndarray, size: int
) -> _Layout:
    chunks = -(-counts // size)
    before = (np.cumsum(chunks) - chunks) * size  # slots before each species
    slots = np.arange(len(order)) + np.repeat(before - first, counts)
    pairs = np.zeros(int(chunks.sum()) * size, np.int64)
    pairs[slots] = np.diff(neighbors.offsets)[order]
    chunk_pairs = int(pairs.reshape(-1, size).sum(axis=1).max(initial=1))
    need = Capacity(
        chunk_atoms=size,
        chunks=max(int(chunks.sum()), 1),
        ghosts=neighbors.n_total - neighbors.n_local + 1,
        chunk_pairs=chunk_pairs,
        pairs=max(int(pairs.sum()), neighbors.n_pairs),
        atoms=neighbors.n_total,
    )
    return _Layout(slots, chunks, need)


class PairRows(Protocol):
    """The pairs of one step in the engine's order, at full capacity.

    Attributes:
        vectors, senders, sender_species: as in :class:`Inputs`.
    """

    vectors: Any
    senders: Any
    sender_species: Any

    def gradient(self, gradient: jax.Array) -> Any:
        """Return dE/d(r_neighbour - r_centre) as the pairs were given, float64 [n_pairs, 3]."""


class HostPairRows:
    """Pairs as NumPy arrays.

    Jitted functions take those as quickly as arrays of JAX, which take longer to make.
    """

    def __init__(self, arrangement: Arrangement, dtype: np.dtype, cutoff: float) -> None:
        self._arrangement = arrangement
        neighbors, room = arrangement.neighbors, arrangement.capacity.pair_rows
        order = slice(None) if arrangement.in_order else self._order
        original = neighbors.senders[order]
        n_pairs = len(original)
        self.vectors = np.empty((room, 3), dtype)
        # The centre of a pair receives: LAMMPS's r_neighbour - r_centre has the other sign.
        given = neighbors.vectors[order]
        np.negative(given, out=self.vectors[:n_pairs], casting="same_kind")
        self.vectors[n_pairs:] = (2 * cutoff, 0.0, 0.0)  # harmless in every function of distance
        self.senders = filled(room, arrangement.rows[original])
        self.sender_species = filled(room, neighbors.species[original])

    def gradient(self, gradient: jax.Array) -> np.ndarray:
        """Return dE/d(r_neighbour - r_centre) in the given order, float64 [n_pairs, 3]."""
        values, n_pairs = np.asarray(gradient), self._arrangement.neighbors.n_pairs
        if self._arrangement.in_order:
            return -values[:n_pairs].astype(np.float64)
        out = np.zeros((n_pairs, 3))
        out[self._order] = -values[: len(self._order)]
        return out

    @cached_property
    def _order(self) -> np.ndarray:
        """Where each pair came from, int [pairs of the model's atoms]."""
        offsets, atoms = self._arrangement.neighbors.offsets, self._arrangement.order
        counts = np.diff(offsets)[atoms]
        first = np.cumsum(counts) - counts
        return np.repeat(offsets[:-1][atoms] - first, counts) + np.arange(counts.sum())


def padded(arrangement: Arrangement, pairs: PairRows, dtype: np.dtype) -> Inputs:
    """Return the arrays of a step at full capacity."""
    neighbors, capacity = arrangement.neighbors, arrangement.capacity
    starts, ends = _pair_ranges(arrangement)
    counted = neighbors.counted
    counted = np.ones(neighbors.n_local, dtype) if counted is None else counted.astype(dtype)
    arrays: dict[str, Any] = {
        "vectors": pairs.vectors,
        "senders": pairs.senders,
        "sender_species": pairs.sender_species,
        "starts": starts,
        "ends": ends,
        "chunk_species": filled(capacity.chunks, arrangement.chunk_species),
        "counted": arrangement.to_slots(counted),
        "n_chunks": np.int32(len(arrangement.chunk_species)),
    }
    return Inputs(**arrays)


def _pair_ranges(arrangement: Arrangement) -> tuple[np.ndarray, np.ndarray]:
    # Empty slots have an empty range at the end of the atoms before them, inside the chunk.
    counts = arrangement.to_slots(np.diff(arrangement.neighbors.offsets))
    ends = np.cumsum(counts).astype(np.int32)
    return ends - counts.astype(np.int32), ends


def filled(size: int, values: np.ndarray, rest: int = 0) -> np.ndarray:
    """Return the values and then ``rest``, int32 [size]."""
    out = np.full(size, rest, np.int32)
    out[: len(values)] = values
    return out
