"""PairList: the pairs of one structure after the other, from a list that holds for a while."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lammps_mace._pairs import near_pairs
from lammps_mace.evaluation import Pairs, complete_cell, search_pairs

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Directed pairs within a cutoff, as a :class:`lammps_mace.engine.interface.DomainGraph`'s.

    Attributes:
        offsets: int64 [n_atoms + 1]; atom i receives the pairs offsets[i]:offsets[i + 1].
        senders: int32 [n_pairs].
        displacements: float64 [n_pairs, 3], r_sender - r_receiver of the right image, Å.
    """

    offsets: np.ndarray
    senders: np.ndarray
    displacements: np.ndarray

    @cached_property
    def receivers(self) -> np.ndarray:
        """Receiver of each pair, int32 [n_pairs]."""
        n_atoms = len(self.offsets) - 1
        return np.repeat(np.arange(n_atoms, dtype=np.int32), np.diff(self.offsets))

    def as_pairs(self) -> Pairs:
        """Return them with the sign of a whole structure's graph."""
        return Pairs(self.senders, self.receivers, -self.displacements)


class PairList:
    """Finds the pairs of one structure after the other.

    Args:
        cutoff: pairs farther apart are left out, Å.
        skin: Å; the list is made anew once an atom has moved more than half of it, or the cell has
            changed.
    """

    def __init__(self, cutoff: float, skin: float) -> None:
        self._cutoff, self._skin = cutoff, skin
        self._cell, self._positions = b"", np.zeros((0, 3))  # when the list was made
        self._offsets, self._senders, self._shifts = np.zeros(1, np.int64), np.zeros(0), np.zeros(0)

    def find(self, atoms: Atoms) -> NearPairs:
        """Return the pairs of a structure.

        Raises:
            ValueError: a periodic direction has no cell vector, a number is not finite, or two
                atoms are in one place.
        """
        positions = np.ascontiguousarray(atoms.positions, np.float64)
        if not self._holds(atoms, positions):
            self._search(atoms, positions)
        n_listed = len(self._senders)
        offsets = np.empty(len(positions) + 1, np.int64)
        senders, displacements = np.empty(n_listed, np.int32), np.empty((n_listed, 3))
        n = near_pairs(
            self._offsets, self._senders, self._shifts, positions, self._cutoff,
            offsets, senders, displacements,
        )  # fmt: skip
        return NearPairs(offsets, senders[:n], displacements[:n])

    def _holds(self, atoms: Atoms, positions: np.ndarray) -> bool:
        """Whether the list has all pairs; not if a number is not finite."""
        if positions.shape != self._positions.shape or not len(positions):
            return False
        if _cell_of(atoms) != self._cell:
            return False
        moved = positions - self._positions
        return bool(np.einsum("ni,ni->n", moved, moved).max() <= (0.5 * self._skin) ** 2)

    def _search(self, atoms: Atoms, positions: np.ndarray) -> None:
        receivers, senders, cells = search_pairs(atoms, self._cutoff + self._skin, "ijS")
        self._offsets = np.searchsorted(receivers, np.arange(len(positions) + 1))
        self._senders = senders.astype(np.int32)
        self._shifts = cells @ complete_cell(np.array(atoms.cell), np.array(atoms.pbc))
        self._cell, self._positions = _cell_of(atoms), positions.copy()


def _cell_of(atoms: Atoms) -> bytes:
    return bytes(atoms.cell.array.tobytes() + atoms.pbc.tobytes())
