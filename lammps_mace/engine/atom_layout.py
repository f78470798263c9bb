"""AtomLayout: which slot each own atom has, and which row each ghost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np

from lammps_mace.engine.capacity import Capacity, ChunkRule, best_chunk_atoms
from lammps_mace.engine.interface import RankRows


@dataclass(frozen=True, eq=False)
class AtomLayout:
    """Where the atoms stand. It holds for as many steps as atoms keep their species and number.

    Attributes:
        species: int32 [n_local], of all own atoms, -1 for those that are not part of the model.
        n_total: own atoms and ghosts.
        order: int64 [n_atoms], own atoms that are part of the model, sorted by species.
        slots: int64 [n_atoms], slot of each of these.
        chunk_atoms: slots of a chunk.
        chunk_species: int64 [n_chunks].
        capacity: sizes of the arrays.
    """

    species: np.ndarray
    n_total: int
    order: np.ndarray
    slots: np.ndarray
    chunk_atoms: int
    chunk_species: np.ndarray
    capacity: Capacity

    @classmethod
    def of(cls, graph: RankRows, rule: ChunkRule, capacity: Capacity) -> AtomLayout:
        """Return the layout of a graph's atoms, which may not fit the capacity.

        Args:
            rule: chooses the size of chunks where the capacity does not say it.
        """
        # A copy: what LAMMPS lends ends with the step.
        species = graph.species[: graph.n_local].copy()
        order = np.flatnonzero(species >= 0)
        order = order[np.argsort(species[order], kind="stable")]
        counts = np.bincount(species[order])
        kinds = np.flatnonzero(counts)
        counts = counts[kinds]
        size = capacity.chunk_atoms or best_chunk_atoms(counts, rule)
        chunks = -(-counts // size)
        # Slots, and atoms, before each species.
        before, first = (np.cumsum(n) - n for n in (chunks * size, counts))
        slots = np.arange(len(order)) + np.repeat(before - first, counts)
        return cls(
            species, graph.n_total, order, slots, size, np.repeat(kinds, chunks), capacity
        )  # fmt: skip

    def fits(self, graph: RankRows, capacity: Capacity) -> bool:
        """Whether this is the layout of a graph at this capacity."""
        if self.capacity is not capacity or self.n_total != graph.n_total:
            return False
        return self.species.tobytes() == graph.species[: graph.n_local].tobytes()

    @cached_property
    def n_slots(self) -> int:
        """Slots of the chunks that hold atoms."""
        return len(self.chunk_species) * self.chunk_atoms

    @property
    def atoms_in_chunk(self) -> np.ndarray:
        """Number of atoms of each chunk, int64 [n_chunks]; no chunk is empty."""
        return np.bincount(self.slots // self.chunk_atoms)

    @cached_property
    def in_order(self) -> bool:
        """Whether slots are rows of the graph, so that nothing has to move."""
        return len(self.order) == len(self.species) and np.array_equal(self.slots, self.order)

    @cached_property
    def row_index(self) -> np.ndarray:
        """The row of each own atom and ghost in the arrays of features, int32 [n_total]."""
        n_local = len(self.species)
        rows = np.full(self.n_total, self.capacity.rows - 1, np.int32)
        rows[self.order] = self.slots
        rows[n_local:] = self.capacity.slots + np.arange(self.n_total - n_local)
        return rows

    @cached_property
    def constant_arrays(self) -> dict[str, jax.Array]:
        """Those of :class:`StepArrays` that only the layout decides; all energies count."""
        n_chunks = self.capacity.chunks
        arrays = {
            "chunk_species": filled(n_chunks, self.chunk_species),
            "atoms_in_chunk": filled(n_chunks, self.atoms_in_chunk),
            "energy_mask": self.to_slots(np.ones(len(self.species), bool)),
            "n_chunks": np.int32(len(self.chunk_species)),
        }
        # JAX passes its own arrays on faster than NumPy's, but takes longer to make them.
        return jax.device_put(arrays)

    def to_slots(self, values: np.ndarray) -> np.ndarray:
        """Return [slots, ...] (zero where empty) of [n_local, ...]."""
        out = np.zeros((self.capacity.slots, *values.shape[1:]), values.dtype)
        out[self.slots] = values[self.order]
        return out

    def from_slots(self, values: np.ndarray) -> np.ndarray:
        """Return [n_local, ...] (zero for atoms that are not part of the model) of [slots, ...]."""
        n_local = len(self.species)
        if self.in_order:
            return values[:n_local]
        out = np.zeros((n_local, *values.shape[1:]), values.dtype)
        out[self.order] = values[self.slots]
        return out


def filled(size: int, values: np.ndarray, rest: int = 0) -> np.ndarray:
    """Return the values and then ``rest``, int32 [size]."""
    out = np.full(size, rest, np.int32)
    out[: len(values)] = values
    return out
