"""The Coulomb sum of predicted charges over pairs that ML-IAP lists, in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from lammps_mace.coupling.mliap.exchange import KokkosExchange
from lammps_mace.coupling.mliap.pair_lists import ListedPairs
from lammps_mace.engine.charges import ChargeSettings
from lammps_mace.models.coulomb import damped

BLOCK = 8192  # pairs at once: their numbers stay in the caches, and memory small


class CoulombExchange(KokkosExchange):
    """Exchanges rows through a data object, adds up over the ranks, and sums over pairs.

    With d = r_neighbour - r_centre, and each pair in the lists of both its atoms,
    E = sum_i q_i V_i / 2 with V_i = sum_d k q_j g(|d|); see :func:`damped`.

    Args:
        data: ML-IAP's, of the KOKKOS package.
        pairs: all that it lists; centres that are ghosts do not count.
        settings: with the cutoff of the sum.
        comm: mpi4py's communicator; None without MPI.
    """

    def __init__(self, data: Any, pairs: ListedPairs, settings: ChargeSettings, comm: Any) -> None:
        super().__init__(data)
        self._pairs, self._settings, self._comm = pairs, settings, comm
        self._charges = np.zeros(pairs.n_total)
        self._potentials = np.zeros(pairs.n_local)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return float64 [n] summed over the ranks; collective."""
        out = np.array(values, np.float64)
        if self._comm is not None:
            from mpi4py import MPI

            self._comm.Allreduce(MPI.IN_PLACE, out, MPI.SUM)
        return out

    def charge(self, charges: np.ndarray) -> np.ndarray:
        """Return the potentials [n_local], V, of charges [n_local], e; collective."""
        rows = np.zeros((self._pairs.n_total, 1))
        rows[: len(charges), 0] = charges
        self.forward_exchange(rows, np.arange(len(rows)))
        self._charges = rows[:, 0]
        self._potentials = self._sum_potentials()
        return self._potentials

    @property
    def energies(self) -> np.ndarray:
        """The Coulomb energies of own atoms, half of each of their pairs, [n_local], eV."""
        return 0.5 * self._charges[: self._pairs.n_local] * self._potentials

    def add_gradient(self, gradient: np.ndarray) -> None:
        """Add dE/dd at fixed charges, eV/Å, to float64 [n_pairs, 3], in place.

        A pair has half of its energy here, the other half in the list of its other atom.
        """
        for block in self._blocks():
            products = self._charges[block.centres] * self._charges[block.neighbours]
            _, slopes = damped(block.squared, self._settings.damping_angstrom)
            slopes *= 0.5 * self._settings.constant * products * block.inside
            gradient[block.rows] += slopes[:, None] * block.vectors

    def _sum_potentials(self) -> np.ndarray:
        out = np.zeros(self._pairs.n_total)
        for block in self._blocks():
            inverse, _ = damped(block.squared, self._settings.damping_angstrom)
            terms = self._charges[block.neighbours] * inverse * block.inside
            # Centres that follow each other are neighbours in the list: the range is short.
            first = block.centres.min()
            sums = np.bincount(block.centres - first, terms)
            out[first : first + len(sums)] += sums
        return self._settings.constant * out[: self._pairs.n_local]

    def _blocks(self) -> Iterator[_Block]:
        pairs, limit = self._pairs, self._settings.cutoff_angstrom**2
        for start in range(0, len(pairs.centres), BLOCK):
            rows = slice(start, start + BLOCK)
            centres, vectors = pairs.centres[rows], pairs.vectors[rows]
            squared = np.einsum("pi,pi->p", vectors, vectors)
            inside = (squared < limit) & (centres < pairs.n_local)
            yield _Block(rows, centres, pairs.neighbours[rows], vectors, squared, inside)


class _Block(NamedTuple):
    """Pairs that follow each other; squared distances (Å^2), and which are in the sum."""

    rows: slice
    centres: np.ndarray
    neighbours: np.ndarray
    vectors: np.ndarray
    squared: np.ndarray
    inside: np.ndarray
