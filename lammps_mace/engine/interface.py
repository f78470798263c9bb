"""The engine's contract: a DomainGraph comes in, a Prediction goes out, ranks exchange between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class RankRows:
    """Rows of one rank: own atoms, which receive, then other ranks' atoms, which only send.

    Attributes:
        species: int32 [n_total], index into the model's elements; -1 is not part of the model.
        offsets: int64 [n_local + 1]; row i receives the pairs offsets[i]:offsets[i + 1].
    """

    species: np.ndarray
    offsets: np.ndarray

    @property
    def n_local(self) -> int:
        """Rows that receive."""
        return len(self.offsets) - 1

    @property
    def n_total(self) -> int:
        """All rows."""
        return len(self.species)


@dataclass(frozen=True)
class DomainGraph(RankRows):
    """The part of a structure's graph that one rank evaluates.

    It says what :class:`lammps_mace.graph.Graph` says of the whole structure: atoms are nodes,
    a pair of neighbours is two directed edges, and a message goes from sender to receiver. Two
    things differ. Rows are this rank's: own atoms first, which receive, then copies of other
    ranks' atoms (ghosts), which only send. And displacements have LAMMPS's sign, the opposite of
    ``Edges.vectors``.

    In one domain, ghosts are images of own atoms and ``senders`` names the own atoms' rows, so that
    n_total == n_local. Otherwise ghosts have rows: with the plugin one for each atom of another
    rank that is needed, else one for each of LAMMPS's ghosts.

    Pairs are grouped by receiver, or they are CuPy's arrays in any order, with ``receivers``.

    Attributes:
        species: int32 [n_total], index into the model's elements; -1 is not part of the model.
        offsets: int64 [n_local + 1]; row i receives the pairs offsets[i]:offsets[i + 1].
        senders: int32 [n_pairs], row of each sender.
        displacements: float64 [n_pairs, 3], r_sender - r_receiver, Å.
        one_domain: one rank has all atoms, nothing is exchanged.
        energy_mask: bool [n_local], rows whose energy is part of this rank's energy; None: all. The
            others are computed because the features of these depend on theirs.
        receivers: int32 [n_pairs] on a GPU; None for pairs on the host.
        positions: float64 [n_local, 3], Å, where the centroid virial is asked for; else None. Only
            for pairs on the host.
        number: graphs of one number have the same atoms and pairs; None: nobody knows.
    """

    species: np.ndarray
    offsets: np.ndarray
    senders: Any
    displacements: Any
    one_domain: bool
    energy_mask: np.ndarray | None = None
    receivers: Any = None
    positions: np.ndarray | None = None
    number: int | None = None

    @property
    def on_gpu(self) -> bool:
        """Whether the pairs are arrays on a GPU."""
        return self.receivers is not None

    @property
    def n_pairs(self) -> int:
        """Directed pairs."""
        return len(self.senders)


@dataclass(frozen=True)
class Prediction:
    """What the model says about one rank's atoms.

    Attributes:
        node_energies: float64 [n_local], eV; exactly 0 for atoms that are masked or not part of
            the model.
        pair_gradient: float64 [n_pairs, 3], dE/d displacements with E the energy of all ranks,
            eV/Å; where the pairs are and in their order.
        charges: float64 [n_local], e; None where nobody needs them. The energies and gradients lack
            the Coulomb sum of these charges at fixed charges: who has its pairs adds it.
        centroid_virial: float64 [n_total, 3, 3], eV, each row's part of the sum over own atoms and
            ghosts W_j = sum_i (r_i - r_j) (x) dU_i/dr_j; None where it is not asked for.
    """

    node_energies: np.ndarray
    pair_gradient: Any
    charges: np.ndarray | None = None
    centroid_virial: np.ndarray | None = None

    @property
    def energy(self) -> float:
        """Energy of this rank's atoms without the Coulomb sum, eV."""
        return float(np.add.reduce(self.node_energies))


class FeatureExchange(Protocol):
    """Moves features between ranks; in a step all ranks call the same methods in the same order.

    Features are float32 or float64 [n, width], in arrays on the host. Those of row i of the graph
    stand at ``row_index[i]``, and the ghosts' one after the other.
    """

    def forward_exchange(self, rows: np.ndarray, row_index: np.ndarray) -> None:
        """Fill the ghosts' rows from their owners, in place."""

    def reverse_exchange(self, rows: np.ndarray, row_index: np.ndarray) -> None:
        """Add the ghosts' rows to their owners', in place; the ghosts' have no meaning then."""


class CompiledExchange(Protocol):
    """Lets a compiled program exchange features itself, on a CPU."""

    def exchange_handle(self, row_index: np.ndarray, n_rows: int) -> np.ndarray | None:
        """Return the handle with which a program exchanges arrays of ``n_rows`` rows.

        Args:
            row_index: as in :class:`FeatureExchange`.

        Returns:
            uint32 [4], see :mod:`lammps_mace.kernels.ghost_exchange_call`; None: only Python can.
        """


class DeviceFeatureExchange(Protocol):
    """Moves features between ranks, rows of atoms [n_total or more, width] in CuPy's arrays."""

    def forward_copy(self, rows: Any) -> Any:
        """Return a copy with the ghosts' rows from their owners; collective."""

    def reverse_copy(self, rows: Any) -> Any:
        """Return a copy with the ghosts' rows added to their owners'; collective."""


class ChargeExchange(Protocol):
    """What ranks do together about charges."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return float64 [n] summed over the ranks; collective."""

    def charge(self, charges: np.ndarray) -> np.ndarray:
        """Take the charges [n_local] (e) of own atoms for the Coulomb sum; collective.

        Returns:
            [n_local], V, dE/dq of the Coulomb sum at fixed positions; 0 if the energy has none.
        """


class Exchange(FeatureExchange, CompiledExchange, ChargeExchange, Protocol):
    """All that the engine is given for a step; each of its parts asks for what it uses.

    For pairs on a GPU it is a :class:`DeviceFeatureExchange` too.
    """


class NoExchange:
    """One domain, no Coulomb sum: there is nobody to exchange with."""

    def forward_exchange(self, rows: np.ndarray, row_index: np.ndarray) -> None:
        """Do nothing."""

    def reverse_exchange(self, rows: np.ndarray, row_index: np.ndarray) -> None:
        """Do nothing."""

    def exchange_handle(self, row_index: np.ndarray, n_rows: int) -> None:
        """Return None: a compiled program cannot call Python."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return the values."""
        return values

    def charge(self, charges: np.ndarray) -> np.ndarray:
        """Return no potentials."""
        return np.zeros(len(charges))
