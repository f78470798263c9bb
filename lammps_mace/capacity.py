"""Array sizes: grown on the host, with room to spare, so that jitted code keeps its shapes."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

CHUNK_ATOMS = 64
_MARGIN = 1.3  # room for migration and density changes; each growth compiles everything again


@dataclass(frozen=True)
class Capacity:
    """Sizes of the padded arrays of one rank.

    Attributes:
        local: rows of own atoms, a multiple of the chunk.
        total: rows of own and ghost atoms.
        chunk_edges: pairs of one chunk of atoms.
        edges: all pairs, with one spare chunk so that a slice never runs over the end.
    """

    local: int = 0
    total: int = 0
    chunk_edges: int = 0
    edges: int = 0

    def fitting(self, needed: Capacity) -> Capacity:
        """Return self when ``needed`` fits, else sizes with a margin over the need.

        Everything grows together, so that a crowded rank recompiles once, not once per size.
        """
        if all(have >= need for have, need in zip(astuple(self), astuple(needed), strict=True)):
            return self
        grown = (
            max(have, _round_up(int(need * _MARGIN)))
            for have, need in zip(astuple(self), astuple(needed), strict=True)
        )
        return Capacity(*grown)


def _round_up(n: int) -> int:
    return max(-(-n // CHUNK_ATOMS) * CHUNK_ATOMS, CHUNK_ATOMS)


def needed(offsets: np.ndarray, n_total: int) -> Capacity:
    """Return the exact sizes for pairs grouped by ``offsets`` [n_local + 1]."""
    n_local = len(offsets) - 1
    # One row more than atoms: padding points at a row that is nobody's.
    local = _round_up(n_local + 1)
    starts = np.append(offsets[:-1:CHUNK_ATOMS], offsets[-1])
    chunk = int(np.diff(starts).max(initial=1))
    return Capacity(local, max(n_total + 1, local), chunk, int(offsets[-1]) + 2 * chunk)
