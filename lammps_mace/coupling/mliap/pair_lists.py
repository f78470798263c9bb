"""Pairs as ML-IAP lists them on the host, and three ways to make a DomainGraph of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lammps_mace.engine.interface import DomainGraph, Prediction


@dataclass(frozen=True)
class ListedPairs:
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
class ListedGraph:
    """A DomainGraph, and which of the listed pairs it holds.

    Attributes:
        graph: for the engine.
        listed: index of each of its pairs in the list.
        n_listed: number of listed pairs.
    """

    graph: DomainGraph
    listed: np.ndarray | slice
    n_listed: int

    def gradient(self, prediction: Prediction) -> np.ndarray:
        """Return dE/d(vectors) of all listed pairs, float64 [n_listed, 3], C-contiguous."""
        out = np.zeros((self.n_listed, 3))
        out[self.listed] = prediction.pair_gradient
        return out


@dataclass(frozen=True)
class DeviceListedGraph:
    """A DomainGraph of all listed pairs, as they are listed: on a GPU."""

    graph: DomainGraph

    def gradient(self, prediction: Prediction) -> Any:
        """Return dE/d(vectors) of all listed pairs, float64 [n_listed, 3], on that GPU."""
        return prediction.pair_gradient


def have_coincident_atoms(vectors: Any) -> bool:
    """Return whether one of the distances [n_pairs, 3] is exactly zero, also on a GPU."""
    return bool(((vectors * vectors).sum(axis=1) == 0.0).any())


def own_centres(pairs: ListedPairs, cutoff: float = np.inf, several: bool = False) -> ListedGraph:
    """Return the pairs of own atoms; the features of ghosts come from their owners.

    Args:
        cutoff: Å; longer pairs are left out.
        several: other ranks exchange rows: this one must too, even if it has no ghosts.
    """
    alone = pairs.n_total == pairs.n_local and not several
    own = np.arange(pairs.n_total) < pairs.n_local
    return _graph_of(pairs, pairs.species, own, alone, cutoff=cutoff)


def own_images(pairs: ListedPairs, tags: np.ndarray) -> ListedGraph:
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
    images = ListedPairs(
        pairs.species[:n], n, pairs.centres, owners[pairs.neighbours], pairs.vectors
    )
    own = np.concatenate([np.ones(n, bool), np.zeros(pairs.n_total - n, bool)])
    return _graph_of(images, images.species, own, alone=True)


def with_ghost_centres(pairs: ListedPairs, n_layers: int) -> ListedGraph:
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
    return _graph_of(pairs, species, centre, alone=True, energy_mask=own)


def _graph_of(
    pairs: ListedPairs,
    species: np.ndarray,
    centre: np.ndarray,
    alone: bool,
    energy_mask: np.ndarray | None = None,
    cutoff: float = np.inf,
) -> ListedGraph:
    """Return the pairs whose centre is chosen and which are short, grouped by centre.

    Args:
        centre: bool, rows whose pairs are wanted.
        alone: no exchange is needed: every row has its own pairs.
    """
    n_rows = len(species) if alone else pairs.n_local
    wanted = centre[pairs.centres]
    if cutoff < np.inf:
        wanted &= np.einsum("pi,pi->p", pairs.vectors, pairs.vectors) < cutoff**2
    listed: np.ndarray | slice = slice(None) if wanted.all() else np.flatnonzero(wanted)
    centres = pairs.centres[listed]
    if np.any(np.diff(centres) < 0):
        order = np.argsort(centres, kind="stable")
        listed = np.arange(len(wanted))[listed][order]
        centres = centres[order]
    counts = np.bincount(centres, minlength=n_rows)
    return ListedGraph(
        DomainGraph(
            species=species,
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            senders=pairs.neighbours[listed].astype(np.int32),
            displacements=pairs.vectors[listed],
            one_domain=alone,
            energy_mask=energy_mask,
        ),
        listed,
        len(wanted),
    )
