"""ImageGraph: a graph in which every image of an atom has its own row, and so one position."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lammps_mace.engine.interface import DomainGraph, FeatureExchange

_APART = 0.5  # Å; two images of an atom are never as close


@dataclass(frozen=True, eq=False)
class ImageGraph:
    """A rank's graph with rows for own atoms, then one for each image that sends.

    Attributes:
        origin: the graph in which images share rows; it has positions.
        graph: the same pairs between the rows of this one.
        positions: float64 [n_total of ``graph``, 3], Å, about the middle of the own atoms.
        rows: int64 [n_images], row of each image in ``origin``, ascending.
    """

    origin: DomainGraph
    graph: DomainGraph
    positions: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, origin: DomainGraph) -> ImageGraph:
        """Return the graph with images of one that has the positions of its own atoms."""
        assert origin.positions is not None
        n, senders = origin.n_local, np.asarray(origin.senders)
        own = origin.positions - origin.positions.mean(axis=0) if n else np.empty((0, 3))
        places = own[_receivers(origin)] + origin.displacements
        is_image = senders >= n
        near = np.flatnonzero(~is_image)
        is_image[near] = np.abs(places[near] - own[senders[near]]).max(axis=1) > _APART
        pairs = np.flatnonzero(is_image)
        first, image = _groups(senders[pairs], places[pairs])
        first = pairs[first]
        rows = senders[first].astype(np.int64)
        senders = senders.astype(np.int32)
        senders[pairs] = n + image
        species = np.concatenate([origin.species[:n], origin.species[rows]])
        graph = replace(origin, species=species, senders=senders, one_domain=False, positions=None)
        return cls(origin, graph, np.concatenate([own, places[first]]), rows)

    def centroid_virial(
        self, gradient: np.ndarray, moments: np.ndarray, positions: np.ndarray
    ) -> np.ndarray:
        """Return W of every row of ``origin``, float64 [n_total, 3, 3], eV.

        Args:
            gradient: [n_pairs, 3], sum_i dU_i/d displacement, eV/Å.
            moments: [n_pairs, 3, 3], sum_i r_i dU_i/d displacement, eV.
            positions: [n_local, 3], the r_i with which these were computed.
        """
        receivers = _receivers(self.origin)
        about = moments - positions[receivers][:, :, None] * gradient[:, None]
        about_sender = about - self.origin.displacements[:, :, None] * gradient[:, None]
        virial = _sums(self.origin.senders, about_sender, self.origin.n_total)
        # The pairs of a receiver stand together; reduceat knows no empty sums.
        filled = np.flatnonzero(np.diff(self.origin.offsets))
        if len(filled):
            virial[filled] -= np.add.reduceat(about, self.origin.offsets[filled], axis=0)
        return virial


class ImageExchange:
    """Features of images: from the rows of the atoms whose images they are, on any rank.

    See :class:`lammps_mace.engine.interface.FeatureExchange`.

    Args:
        exchange: of ``images.origin``.
    """

    def __init__(self, images: ImageGraph, exchange: FeatureExchange) -> None:
        self._origin, self._rows, self._exchange = images.origin, images.rows, exchange
        self._index = np.arange(self._origin.n_total, dtype=np.int32)

    def forward_exchange(self, rows: np.ndarray, row_index: np.ndarray) -> None:
        """Fill the images' rows from their owners, in place."""
        n = self._origin.n_local
        shared = np.empty((self._origin.n_total, rows.shape[1]), rows.dtype)
        shared[:n] = rows[row_index[:n]]
        if not self._origin.one_domain:
            self._exchange.forward_exchange(shared, self._index)
        rows[row_index[n:]] = shared[self._rows]

    def reverse_exchange(self, rows: np.ndarray, row_index: np.ndarray) -> None:
        """Add the images' rows to their owners', in place."""
        n = self._origin.n_local
        shared = np.zeros((self._origin.n_total, rows.shape[1]), rows.dtype)
        shared[:n] = rows[row_index[:n]]
        if len(self._rows):
            starts = np.flatnonzero(np.diff(self._rows, prepend=-1))
            images = np.add.reduceat(rows[row_index[n:]], starts, axis=0)
            shared[self._rows[starts]] += images
        if not self._origin.one_domain:
            self._exchange.reverse_exchange(shared, self._index)
        rows[row_index[:n]] = shared[:n]


def _receivers(graph: DomainGraph) -> np.ndarray:
    return np.repeat(np.arange(graph.n_local), np.diff(graph.offsets))


def _groups(rows: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of each group of equal row and place, by row, and the group of each.

    Rounding may make two groups of one image, which costs a row and changes nothing.
    """
    cells = np.rint(places / _APART).astype(np.int64)
    cells -= cells.min(axis=0, initial=0)
    sizes = cells.max(axis=0, initial=0) + 1
    keys = np.ravel_multi_index(
        (rows, *cells.T), (int(rows.max(initial=0)) + 1, *map(int, sizes))
    )  # fmt: skip
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return first, group


def _sums(index: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Return [n, 3, 3], the sums of the values [..., 3, 3] of each index."""
    columns = values.reshape(len(values), 9).T
    summed = [np.bincount(index, column, n) for column in columns]
    return np.stack(summed, axis=1).reshape(n, 3, 3)
