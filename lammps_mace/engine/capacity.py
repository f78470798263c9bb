"""Capacity: the fixed sizes of the padded arrays, and how they grow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_FIXED_COST = 3  # of a chunk, in atoms
_MARGIN = 1.3  # room for migration and density changes; each growth compiles everything again


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


def best_chunk_atoms(counts: np.ndarray, rule: ChunkRule = CPU_CHUNKS) -> int:
    """Return the chunk size that wastes least for so many atoms of each species."""
    largest = int(min(rule.most_atoms, round_up(int(counts.max(initial=1)), 4)))
    sizes = np.arange(largest, min(rule.most_atoms // 2, largest) - 1, -rule.batch)
    chunks = -(-counts[:, None] // sizes).sum(axis=0)
    return int(sizes[np.argmin(chunks * (rule.empty_slot * sizes + _FIXED_COST))])


def round_up(n: int, multiple: int) -> int:
    """Return the smallest multiple that is not less than n, at least one."""
    return max(-(-n // multiple), 1) * multiple


@dataclass(frozen=True)
class Capacity:
    """Sizes of the padded arrays of one rank; jitted functions are compiled for one of these.

    Attributes:
        chunk_atoms: slots of a chunk.
        chunks: of all atoms.
        ghosts: rows of ghosts, and one for atoms that are not part of the model.
        chunk_pairs: pairs of one chunk.
        pairs: all pairs.
        atoms: own atoms and ghosts, part of the model or not.
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
        """Rows of pair arrays: a slice of ``chunk_pairs`` may begin at the last pair."""
        return self.pairs + self.chunk_pairs

    @property
    def _sizes(self) -> tuple[int, ...]:
        return self.chunks, self.ghosts, self.chunk_pairs, self.pairs, self.atoms

    def holds(self, need: Capacity) -> bool:
        """Whether arrays of these sizes have room for ``need`` (of the same chunk_atoms)."""
        return all(a >= b for a, b in zip(self._sizes, need._sizes, strict=True))

    def extends(self, other: Capacity) -> bool:
        """Whether these are the sizes of ``other`` or larger ones, with chunks of the same size."""
        return other.chunk_atoms in (0, self.chunk_atoms) and self.holds(other)

    def grown_to(self, need: Capacity) -> Capacity:
        """Return sizes with a margin over ``need``, at least the present ones.

        Everything grows together, so that a crowded rank recompiles once, not once per size.
        """
        chunks = max(self.chunks, int(need.chunks * _MARGIN) + 1)
        sizes = zip(self._sizes[1:], need._sizes[1:], strict=True)
        return Capacity(
            need.chunk_atoms, chunks, *(max(a, round_up(int(b * _MARGIN), 64)) for a, b in sizes)
        )
