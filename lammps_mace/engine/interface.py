"""Neighbors: one rank's atoms and pairs as LAMMPS knows them; Prediction: what goes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Neighbors:
    """The pairs of one rank, grouped by the atom in their centre.

    In one domain ghosts are images of local atoms and ``senders`` names the local rows, so that
    n_total == n_local; otherwise rows n_local.. are copies of atoms: with the plugin one for each
    needed atom of another rank, else all of LAMMPS's ghosts.

    Pairs may stay on the GPU where LAMMPS has them; they are then in any order, with ``centres``.

    Attributes:
        species: int32 [n_total], index into the model's elements; -1 is not part of the model.
        offsets: int64 [n_local + 1]; the pairs of row i are offsets[i]:offsets[i+1].
        senders: int32 [n_pairs], row of the neighbour.
        vectors: float64 [n_pairs, 3], r_neighbour - r_centre, Å.
        centres: None; on a GPU int32 [n_pairs], and these three are CuPy's arrays.
        one_domain: no exchange is needed.
        counted: bool [n_local], rows whose energy belongs to this rank; None: all. The others are
            computed only because counted rows depend on their features.
    """

    species: np.ndarray
    offsets: np.ndarray
    senders: Any
    vectors: Any
    one_domain: bool
    counted: np.ndarray | None = None
    centres: Any = None

    @property
    def on_gpu(self) -> bool:
        """Whether the pairs are arrays on a GPU."""
        return self.centres is not None

    @property
    def n_local(self) -> int:
        """Atoms with pairs of their own."""
        return len(self.offsets) - 1

    @property
    def n_total(self) -> int:
        """Rows: own atoms and copies."""
        return len(self.species)

    @property
    def n_pairs(self) -> int:
        """Directed pairs."""
        return len(self.senders)


@dataclass(frozen=True)
class Prediction:
    """What the model says about one rank's atoms.

    Attributes:
        node_energies: float64 [n_local], eV; exactly 0 for atoms that are not counted or
            not part of the model.
        pair_gradient: float64 [n_pairs, 3], dE/d(vectors) with E the energy of all ranks, eV/Å;
            where the pairs are and in their order.
        charges: float64 [n_local], e; None where nobody needs them. The Coulomb sum over them is
            not in the energies, nor is its direct part in the gradient: whoever has the pairs of
            the long cutoff adds it.
    """

    node_energies: np.ndarray
    pair_gradient: Any
    charges: np.ndarray | None = None

    @property
    def energy(self) -> float:
        """Energy of this rank's atoms without the Coulomb sum, eV."""
        return float(self.node_energies.sum())


class Exchange(Protocol):
    """What ranks do together; in a step all of them call the same methods in the same order.

    Features are float32 or float64 [n, width]; those of row i < n_total are at ``places[i]``, where
    copies follow each other.
    """

    def forward_exchange(self, rows: np.ndarray, places: np.ndarray) -> None:
        """Fill the copies' rows from their owners, in place."""

    def reverse_exchange(self, rows: np.ndarray, places: np.ndarray) -> None:
        """Add the copies' rows into their owners', in place; what copies then hold is of no use."""

    def seam(self, places: np.ndarray, n_rows: int) -> np.ndarray | None:
        """Return what the program of a step needs to exchange n_rows rows itself, on a CPU.

        None: it cannot. See :mod:`lammps_mace.kernels.ghost_exchange_call`.
        """

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return float64 [n] summed over the ranks."""

    def charge(self, charges: np.ndarray) -> np.ndarray:
        """Take the charges [n_local] (e) of own atoms for the Coulomb sum.

        Returns:
            [n_local], V, dE/dq of the Coulomb sum at fixed positions; 0 if the energy has none.
        """


class NoExchange:
    """One domain, no Coulomb sum: there is nobody to exchange with."""

    def forward_exchange(self, rows: np.ndarray, places: np.ndarray) -> None:
        """Do nothing."""

    def reverse_exchange(self, rows: np.ndarray, places: np.ndarray) -> None:
        """Do nothing."""

    def seam(self, places: np.ndarray, n_rows: int) -> None:
        """Return None: only the plugin's exchanges can be called from a program."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return the values."""
        return values

    def charge(self, charges: np.ndarray) -> np.ndarray:
        """Return no potentials."""
        return np.zeros(len(charges))
