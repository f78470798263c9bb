"""ListedGraph: atoms with a neighbour list that holds for many steps, and what comes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lammps_mace.engine.interface import RankRows


@dataclass(frozen=True, eq=False)
class ListedGraph(RankRows):
    """What one rank evaluates where its device keeps the neighbour list and only positions change.

    Rows are those of :class:`lammps_mace.engine.interface.DomainGraph`: own atoms, then one for
    each atom of another rank. Atoms are own atoms, then all ghosts, each image one of its own.

    Attributes:
        number: of the list; as long as it is the same, all but ``species`` and ``positions`` is.
        species: int32 [n_total], index into the model's elements; -1 is not part of the model.
        rows: int32 [n_atoms], row of each atom; -1: none, it was out of reach.
        offsets: int64 [n_local + 1]; the neighbours of row i are offsets[i]:offsets[i + 1].
        neighbours: int32 [n_listed], atoms, also those beyond the cutoff.
        sent: int32 [n_sent], own rows that other ranks need.
        positions: float64 [n_atoms, 3], Å.
        one_domain: one rank has all atoms, nothing is exchanged.
        closest: pairs closer than this are counted, Å.
        wants_virials: of each row.
    """

    number: int
    species: np.ndarray
    rows: np.ndarray
    offsets: np.ndarray
    neighbours: np.ndarray
    sent: np.ndarray
    positions: np.ndarray
    one_domain: bool
    closest: float = 0.0
    wants_virials: bool = False

    @property
    def n_pairs(self) -> int:
        """Directed pairs that the list has."""
        return len(self.neighbours)


@dataclass(frozen=True)
class AtomPrediction:
    """What the model says about one rank's atoms, summed over pairs.

    Attributes:
        node_energies: float64 [n_local], eV; 0 for atoms that are not part of the model.
        energy: their sum, eV.
        forces: float64 [n_total, 3], eV/Å; other ranks' rows hold what their owners have to add.
        virial: float64 [6], xx, yy, zz, xy, xz, yz, eV, of the pairs that own atoms receive.
        virials: float64 [n_total, 6], half of each pair's to either row; None: not asked for.
        n_close: pairs that are closer than ``closest``.
        coincident: own row with a neighbour in the same place, or -1.
        rowless: atom within the cutoff that has no row, or -1.

    The energies, forces and virials lack the Coulomb sum of predicted charges.
    """

    node_energies: np.ndarray
    energy: float
    forces: np.ndarray
    virial: np.ndarray
    virials: np.ndarray | None
    n_close: int
    coincident: int
    rowless: int
