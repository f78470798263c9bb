"""Pairs of species: which of them have radial functions of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lammps_mace.models.description import RadialWeights, SpeciesDependence


@dataclass(frozen=True, eq=False)
class SpeciesPairs:
    """The pairs of species whose radial functions differ.

    Attributes:
        senders, receivers: int32 [n_pairs], their species.
        index: int32 [n_species, n_species], of receivers and of senders -> the pair that has their
            functions.
    """

    senders: np.ndarray
    receivers: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.senders)

    @classmethod
    def of(cls, radial: RadialWeights, n_species: int) -> SpeciesPairs:
        """Return the pairs that the functions of radial weights tell apart."""
        receivers, senders = np.indices((n_species, n_species))
        match radial.dependence:
            case SpeciesDependence.SHARED:
                names = np.zeros_like(senders)
            case SpeciesDependence.SENDER:
                names = senders
            case SpeciesDependence.RECEIVER:
                names = receivers
            case SpeciesDependence.PAIR:
                low, high = np.minimum(senders, receivers), np.maximum(senders, receivers)
                ordered = receivers * n_species + senders
                names = low * n_species + high if radial.symmetric else ordered
        _, first, index = np.unique(names.ravel(), return_index=True, return_inverse=True)
        return cls(
            senders.ravel()[first].astype(np.int32),
            receivers.ravel()[first].astype(np.int32),
            index.reshape(n_species, n_species).astype(np.int32),
        )
