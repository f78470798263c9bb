"""Pairs as ML-IAP lists them, and three ways to make a DomainGraph of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lammps_mace.engine.interface import DomainGraph, Prediction


@dataclass(frozen=True)
class Pairs:
    """The directed pairs of one rank, in any order.

    Attributes:
        species: int32 [n_total], own atoms then ghosts; -1 is not part of the model.
        n_local: own atoms.
        centres, neighbours: int [n_pairs], rows. Centres may be ghosts.
        vectors: float64 [n_pairs, 3], r_neighbour - r_centre, Å.
    """

    species: np.ndarray
    n_local: int
    centres: np.ndarray
    neighbours: np.ndarray
    vectors: np.ndarray

    @property
    def n_total(self) -> int:
        """Own atoms and ghosts."""
        return len(self.species)


@dataclass(frozen=True)
class Arranged:
    """A DomainGraph, and which of the listed pairs it holds.

    Attributes:
        graph: for the engine.
        kept: the listed pair of each of its pairs.
        n_listed: number of listed pairs.
    """

    graph: DomainGraph
    kept: np.ndarray | slice
    n_listed: int

    def gradient(self, prediction: Prediction) -> np.ndarray:
        """Return dE/d(vectors) of all listed pairs, float64 [n_listed, 3], C-contiguous."""
        out = np.zeros((self.n_listed, 3))
        out[self.kept] = prediction.pair_gradient
        return out


@dataclass(frozen=True)
class Unarranged:
    """A DomainGraph of all listed pairs, as they are listed: on a GPU."""

    graph: DomainGraph

    def gradient(self, prediction: Prediction) -> Any:
        """Return dE/d(vectors) of all listed pairs, float64 [n_listed, 3], on that GPU."""
        return prediction.pair_gradient


def have_coincident_atoms(vectors: Any) -> bool:
    """Return whether one of the distances [n_pairs, 3] is exactly zero, also on a GPU."""
    return bool(((vectors * vectors).sum(axis=1) == 0.0).any())


def own_centres(pairs: Pairs, cutoff: float = np.inf, several: bool = False) -> Arranged:
    """Return the pairs of own atoms; the features of ghosts come from their owners.

    Args:
        cutoff: Å; longer pairs are left out.
        several: other ranks exchange rows: this one must too, even if it has no ghosts.
    """
    alone = pairs.n_total == pairs.n_local and not several
    own = np.arange(pairs.n_total) < pairs.n_local
    return _arranged(pairs, pairs.species, own, alone, cutoff=cutoff)


def own_images(pairs: Pairs, tags: np.ndarray) -> Arranged:
    """Return the pairs of own atoms on one rank, where every ghost is an image of one of them.

    Args:
        tags: [n_total], atom IDs.

    Raises:
        ValueError: a ghost has the ID of no own atom.
    """
    n = pairs.n_local
    order = np.argsort(tags[:n])
    ghosts = np.searchsorted(tags[:n], tags[n:], sorter=order)
    owners = np.concatenate([np.arange(n), order[np.minimum(ghosts, n - 1)]])
    if not np.array_equal(tags[owners], tags):
        raise ValueError("ghost atoms that are no images of own atoms, on a single rank")
    images = Pairs(pairs.species[:n], n, pairs.centres, owners[pairs.neighbours], pairs.vectors)
    own = np.concatenate([np.ones(n, bool), np.zeros(pairs.n_total - n, bool)])
    return _arranged(images, images.species, own, alone=True)


def with_ghost_centres(pairs: Pairs, n_layers: int) -> Arranged:
    """Return the pairs of own atoms and of the ghosts whose features they depend on.

    The energy of this rank is that of its own atoms; its derivative reaches ``n_layers`` pairs
    far. The ghosts' forces go back to their owners, where those of all ranks add up.
    """
    own = np.arange(pairs.n_total) < pairs.n_local
    centre = own.copy()
    for _ in range(n_layers - 1):
        centre[pairs.neighbours[centre[pairs.centres]]] = True
    present = centre.copy()
    present[pairs.neighbours[centre[pairs.centres]]] = True
    species = np.where(present, pairs.species, -1).astype(np.int32)
    return _arranged(pairs, species, centre, alone=True, energy_mask=own)


def _arranged(
    pairs: Pairs,
    species: np.ndarray,
    centre: np.ndarray,
    alone: bool,
    energy_mask: np.ndarray | None = None,
    cutoff: float = np.inf,
) -> Arranged:
    """Return the pairs whose centre is chosen and which are short, grouped by centre.

    Args:
        centre: bool, rows whose pairs are wanted.
        alone: no exchange is needed: every row has its own pairs.
    """
    n_rows = len(species) if alone else pairs.n_local
    wanted = centre[pairs.centres]
    if cutoff < np.inf:
        wanted &= np.einsum("pi,pi->p", pairs.vectors, pairs.vectors) < cutoff**2
    kept: np.ndarray | slice = slice(None) if wanted.all() else np.flatnonzero(wanted)
    centres = pairs.centres[kept]
    if np.any(np.diff(centres) < 0):
        order = np.argsort(centres, kind="stable")
        kept = np.arange(len(wanted))[kept][order]
        centres = centres[order]
    counts = np.bincount(centres, minlength=n_rows)
    return Arranged(
        DomainGraph(
            species=species,
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            senders=pairs.neighbours[kept].astype(np.int32),
            displacements=pairs.vectors[kept],
            one_domain=alone,
            energy_mask=energy_mask,
        ),
        kept,
        len(wanted),
    )
