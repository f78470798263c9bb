"""Checks before a run: settings of LAMMPS with which the model would give wrong numbers."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from lammps_mace.coupling.mliap import messages as texts
from lammps_mace.coupling.mliap.collective import Collective
from lammps_mace.coupling.mliap.data import can_exchange, has_ghost_centres, on_host
from lammps_mace.coupling.mliap.exchange import prove_exchange
from lammps_mace.coupling.mliap.graph_of_data import GraphMaker
from lammps_mace.coupling.mliap.lammps_handle import Lammps
from lammps_mace.coupling.mliap.messages import MLIAPError


class RunChecks:
    """Checks what a run is about to do.

    Args:
        graphs: makes the graphs.
        ranks: of LAMMPS.
        lammps: None if it is not recognised.
    """

    def __init__(self, graphs: GraphMaker, ranks: Collective, lammps: Lammps | None) -> None:
        self._graphs, self._ranks, self._lammps = graphs, ranks, lammps

    def check(self, data: Any) -> None:
        """Refuse what would give wrong numbers.

        Raises:
            MLIAPError: with the line to write.
        """
        if self._lammps is not None and self._lammps.special_bonds:
            raise MLIAPError(
                "special_bonds drops pairs of bonded atoms, which the model needs: "
                "add `special_bonds lj/coul 1.0 1.0 1.0`"
            )
        if self._lammps is not None and self._lammps.exclusions() and not _unchecked():
            raise MLIAPError(texts.EXCLUSIONS)
        if self._graphs.charges is not None:
            self._check_charges(data)
        self._check_ghosts(data)

    def warn_of_version(self, data: Any) -> None:
        """Warn of a LAMMPS that may exchange wrongly."""
        if can_exchange(data) and self._lammps and self._lammps.version in texts.WRONG_EXCHANGE:
            self._ranks.warn(texts.SUSPECT)

    def prove_exchange(self, data: Any) -> None:
        """Check that rows move to where they belong; collective.

        Raises:
            ValueError: they do not.
        """
        if _unchecked():
            return
        # LAMMPS's own array of IDs: with KOKKOS on a GPU it may be older than this step.
        tags = self._lammps.tags(data.ntotal) if self._lammps and on_host(data) else None
        prove_exchange(data, tags, self._ranks.comm.allreduce)

    def check_reach(self) -> None:
        """Refuse a communication cutoff that is shorter than what the model needs.

        Raises:
            MLIAPError: with the line to write.
        """
        seen = None if self._lammps is None else self._lammps.communication_cutoff()
        if seen is None:
            if not _unchecked():
                raise MLIAPError(texts.UNKNOWN_REACH.format(reach=self._reach_angstrom))
        elif seen < self._reach_angstrom - 1e-3:
            raise MLIAPError(
                f"an atom's energy depends on atoms up to {self._graphs.n_layers} layers x cutoff "
                f"away, but ranks see ghosts up to {seen:g} Angstrom only: write `comm_modify "
                f"cutoff {self._reach_angstrom:g}` (layers x cutoff + skin) before the run"
            )

    def _check_charges(self, data: Any) -> None:
        if not can_exchange(data):
            raise MLIAPError(texts.CHARGES_NEED_EXCHANGE)
        if self._lammps is not None and self._lammps.kspace:
            self._ranks.warn(texts.KSPACE)

    def _check_ghosts(self, data: Any) -> None:
        graphs = self._graphs
        if can_exchange(data) or graphs.needs_no_ghosts(data) or graphs.tags(data) is not None:
            return
        if not has_ghost_centres(data):
            raise MLIAPError(texts.NO_GHOSTS.format(reach=self._reach_angstrom))
        self.check_reach()

    @property
    def _reach_angstrom(self) -> float:
        """How far an atom's energy reaches, with the skin; rounded up."""
        skin = 2.0 if self._lammps is None else self._lammps.skin_angstrom
        reach = self._graphs.n_layers * self._graphs.cutoff_angstrom + skin
        return np.ceil(reach * 1000 - 1e-6) / 1000


def _unchecked() -> bool:
    return os.environ.get(texts.UNCHECKED) == "1"
