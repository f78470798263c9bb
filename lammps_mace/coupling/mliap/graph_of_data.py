"""From ML-IAP's data to the graph: which of its pairs the engine gets, and who exchanges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lammps_mace.coupling.mliap.coulomb import CoulombExchange
from lammps_mace.coupling.mliap.data import can_exchange, on_host, read_pairs, species_of, to_host
from lammps_mace.coupling.mliap.exchange import KokkosExchange
from lammps_mace.coupling.mliap.lammps_handle import Lammps
from lammps_mace.coupling.mliap.pair_lists import (
    DeviceListedGraph,
    ListedGraph,
    own_centres,
    own_images,
    with_ghost_centres,
)
from lammps_mace.engine.charges import ChargeSettings
from lammps_mace.engine.interface import DomainGraph, Exchange, NoExchange


@dataclass(frozen=True)
class GraphMaker:
    """Makes the graph of each step; what it needs to know is the same in all steps.

    Attributes:
        species: int32 [n_elements + 1], species of ML-IAP's elements; the last is for element -1.
        cutoff_angstrom: of the graph.
        n_layers: layers of the model.
        charges: of the model; None if nobody needs them.
        comm: mpi4py's communicator; None without MPI.
        n_ranks: ranks of LAMMPS.
        lammps: None if it is not recognised.
    """

    species: np.ndarray
    cutoff_angstrom: float
    n_layers: int
    charges: ChargeSettings | None
    comm: Any
    n_ranks: int
    lammps: Lammps | None

    def graph_of_data(self, data: Any) -> tuple[ListedGraph | DeviceListedGraph, Exchange]:
        """Return the graph of a data object, and what exchanges for its ghosts."""
        several = self.n_ranks > 1
        if data.npairs and not on_host(data) and self.charges is None:
            return DeviceListedGraph(self._device_graph(data)), KokkosExchange(data)
        pairs = read_pairs(data, self.species)
        if self.charges is not None:
            near = own_centres(pairs, self.cutoff_angstrom, several)
            return near, CoulombExchange(data, pairs, self.charges, self.comm)
        if can_exchange(data):
            return own_centres(pairs, several=several), KokkosExchange(data)
        if self.needs_no_ghosts(data):
            return own_centres(pairs), NoExchange()
        if (tags := self.tags(data)) is not None:
            return own_images(pairs, tags), NoExchange()
        return with_ghost_centres(pairs, self.n_layers), NoExchange()

    def needs_no_ghosts(self, data: Any) -> bool:
        """Whether no atom's energy depends on features of ghosts."""
        return self.n_layers == 1 or data.ntotal == data.nlocal

    def tags(self, data: Any) -> np.ndarray | None:
        """Return atom IDs where all atoms belong to this rank and LAMMPS tells them."""
        if self.lammps is None or self.n_ranks > 1:
            return None
        return self.lammps.tags(data.ntotal)

    def _device_graph(self, data: Any) -> DomainGraph:
        """Return the graph of own atoms; the pairs stay on the GPU."""
        import cupy

        counts = to_host(cupy.bincount(data.pair_i, minlength=data.nlocal))[: data.nlocal]
        return DomainGraph(
            species=species_of(data, self.species),
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            senders=data.pair_j,
            displacements=data.rij,
            # Other ranks exchange rows: this one must too, even if it has no ghosts.
            one_domain=data.ntotal == data.nlocal and self.n_ranks == 1,
            receivers=data.pair_i,
        )
