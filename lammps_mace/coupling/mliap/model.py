"""ML-IAP: a model in LAMMPS's own ``pair_style mliap unified``; no other module knows its names.

ML-IAP sets ``interface`` on the object it unpickled, reads ``element_types``, ``rcutfac`` and two
sizes, and calls ``compute_descriptors``, ``compute_gradients`` and ``compute_forces`` with a new
data object in every step. A data object of the KOKKOS package can exchange rows between ranks; for
one that cannot, LAMMPS lists the pairs of ghosts too (``pair_style mliap unified FILE 1``).
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from lammps_mace.coupling.mliap import messages as texts
from lammps_mace.coupling.mliap.coulomb import CoulombExchange
from lammps_mace.coupling.mliap.data import (
    KokkosExchange,
    can_exchange,
    gpu_graph,
    has_ghost_centres,
    on_host,
    owner,
    prove_exchange,
    read_pairs,
    write_results,
)
from lammps_mace.coupling.mliap.lammps_handle import communicator, find_lammps
from lammps_mace.coupling.mliap.pair_lists import (
    Arranged,
    Unarranged,
    have_coincident_atoms,
    own_centres,
    own_images,
    with_ghost_centres,
)
from lammps_mace.coupling.units import energy_per_ev
from lammps_mace.engine.interface import Exchange, NoExchange
from lammps_mace.lowering.charge_settings import charge_settings
from lammps_mace.modelfile import Model, read_parts
from lammps_mace.runtime.jax_setup import start_jax
from lammps_mace.runtime.placement import find_rank
from lammps_mace.stub import UnifiedModel

Result = TypeVar("Result")


class MLIAPError(ValueError):
    """Why LAMMPS cannot run a model; the message says what to write in the input script."""


class MLIAPModel:
    """One model in one pair style of one rank.

    Args:
        stub: what LAMMPS unpickled.
        interface: ML-IAP's side of the model.

    Attributes:
        element_types: chemical symbols; ML-IAP numbers the elements in this order.
        ndescriptors, nparams: ML-IAP wants at least one.
        rcutfac: half the cutoff, Å: of the graph, or of the Coulomb sum where that is longer.

    Raises:
        MLIAPError: the model cannot be used, on this rank or on another.
    """

    ndescriptors = 1
    nparams = 1

    def __init__(self, stub: UnifiedModel, interface: Any) -> None:
        self.interface = interface
        self.lammps = find_lammps(interface)
        self._rank, self._comm = find_rank(communicator(self.lammps))
        self._last_step: int | None = None
        self._engine: Any = None
        self._energy_per_ev = 1.0
        self.model = self._together(lambda: self._load(stub))
        info = self.model.dataset_info
        self.element_types = list(info.known_elements(self.model.head))
        self._charges = charge_settings(self.model)
        self.rcutfac = max(info.graph_cutoff_angstrom, self._coulomb_cutoff) / 2
        # One entry more: ML-IAP's element -1, not part of the model, reads the last.
        species = [info.elements.index(symbol) for symbol in self.element_types]
        self._species = np.array([*species, -1], np.int32)
        self._device = start_jax(self._rank)

    def compute_descriptors(self, data: Any) -> None:
        """Do nothing: everything happens in :meth:`compute_forces`."""

    def compute_gradients(self, data: Any) -> None:
        """Do nothing."""

    def compute_forces(self, data: Any) -> None:
        """Evaluate one step and write energies and forces into ``data``."""
        if self._is_new_run():
            self._together(lambda: self._check(data))
            if self._engine is None and can_exchange(data) and self._rank.size > 1:
                self._together(lambda: self._prove(data))
        if not can_exchange(data):
            self._together(lambda: self._evaluate(data), self._here)
            return
        try:
            self._evaluate(data)
        except BaseException as error:  # the others may wait in an exchange: no agreement
            self._end(error)
            raise

    def _load(self, stub: UnifiedModel) -> Model:
        if self.lammps is None and self._rank.index == 0:
            print(texts.UNRECOGNISED, file=sys.stderr, flush=True)
        if self.lammps is not None:
            self._energy_per_ev = energy_per_ev(self.lammps.units)
        model = read_parts(stub, None, None)
        if (charges := charge_settings(model)) is not None and charges.write:
            raise MLIAPError(texts.WRITTEN_CHARGES)
        return model

    def _is_new_run(self) -> bool:
        """Return whether this step does not follow the last: settings may have changed."""
        if self.lammps is None:
            first, self._last_step = self._last_step is None, 0
            return first
        last, self._last_step = self._last_step, self.lammps.step
        return last is None or self._last_step != last + 1

    @property
    def _n_layers(self) -> int:
        return self.model.config.num_layers

    @property
    def _coulomb_cutoff(self) -> float:
        return 0.0 if self._charges is None else self._charges.cutoff_angstrom

    def _check(self, data: Any) -> None:
        """Refuse what would give wrong numbers.

        Raises:
            MLIAPError: with the line to write.
        """
        if self.lammps is not None and self.lammps.special_bonds:
            raise MLIAPError(
                "special_bonds drops pairs of bonded atoms, which the model needs: "
                "add `special_bonds lj/coul 1.0 1.0 1.0`"
            )
        if self.lammps is not None and self.lammps.exclusions() and not _unchecked():
            raise MLIAPError(texts.EXCLUSIONS)
        if self._charges is not None:
            self._check_charges(data)
        if self._engine is None:
            import jax

            self._device = owner(data, jax.local_devices()) or self._device
            if can_exchange(data) and self.lammps and self.lammps.version in texts.WRONG_EXCHANGE:
                self._warn(texts.SUSPECT)
        if can_exchange(data) or self._needs_no_ghosts(data) or self._tags(data) is not None:
            return
        if not has_ghost_centres(data):
            raise MLIAPError(texts.NO_GHOSTS.format(reach=self._reach_angstrom))
        self._check_reach()

    def _check_charges(self, data: Any) -> None:
        if not can_exchange(data):
            raise MLIAPError(texts.CHARGES_NEED_EXCHANGE)
        if self.lammps is not None and self.lammps.kspace:
            self._warn(texts.KSPACE)

    def _prove(self, data: Any) -> None:
        if _unchecked():
            return
        # LAMMPS's own array of IDs: with KOKKOS on a GPU it may be older than this step.
        tags = self.lammps.tags(data.ntotal) if self.lammps and on_host(data) else None
        prove_exchange(data, tags, self._comm.allreduce)

    @property
    def _reach_angstrom(self) -> float:
        """How far an atom's energy reaches, with the skin; rounded up."""
        skin = 2.0 if self.lammps is None else self.lammps.skin_angstrom
        reach = self._n_layers * self.model.dataset_info.graph_cutoff_angstrom + skin
        return np.ceil(reach * 1000 - 1e-6) / 1000

    def _check_reach(self) -> None:
        seen = None if self.lammps is None else self.lammps.communication_cutoff()
        if seen is None:
            if not _unchecked():
                raise MLIAPError(texts.UNKNOWN_REACH.format(reach=self._reach_angstrom))
        elif seen < self._reach_angstrom - 1e-3:
            raise MLIAPError(
                f"an atom's energy depends on atoms up to {self._n_layers} layers x cutoff away, "
                f"but ranks see ghosts up to {seen:g} Angstrom only: write `comm_modify cutoff "
                f"{self._reach_angstrom:g}` (layers x cutoff + skin) before the run"
            )

    def _needs_no_ghosts(self, data: Any) -> bool:
        return self._n_layers == 1 or data.ntotal == data.nlocal

    def _tags(self, data: Any) -> np.ndarray | None:
        """Return atom IDs where all atoms belong to this rank and LAMMPS tells them."""
        if self.lammps is None or self._rank.size > 1:
            return None
        return self.lammps.tags(data.ntotal)

    def _arranged(self, data: Any) -> tuple[Arranged | Unarranged, Exchange]:
        several = self._rank.size > 1
        if data.npairs and not on_host(data) and self._charges is None:
            return Unarranged(gpu_graph(data, self._species, several)), KokkosExchange(data)
        pairs = read_pairs(data, self._species)
        if self._charges is not None:
            near = own_centres(pairs, self.model.dataset_info.graph_cutoff_angstrom, several)
            return near, CoulombExchange(data, pairs, self._charges, self._comm)
        if can_exchange(data):
            return own_centres(pairs, several=several), KokkosExchange(data)
        if self._needs_no_ghosts(data):
            return own_centres(pairs), NoExchange()
        if (tags := self._tags(data)) is not None:
            return own_images(pairs, tags), NoExchange()
        return with_ghost_centres(pairs, self._n_layers), NoExchange()

    def _evaluate(self, data: Any) -> None:
        # Not at the top: the engine imports JAX, which must be configured first.
        import jax

        from lammps_mace.lowering.build import build_engine

        arranged, exchange = self._arranged(data)
        if have_coincident_atoms(arranged.graph.displacements):
            raise MLIAPError(texts.SAME_PLACE)
        with jax.default_device(self._device):
            self._engine = self._engine or build_engine(self.model)
            prediction = self._engine.evaluate(arranged.graph, exchange)
        gradient = arranged.gradient(prediction)
        energies = prediction.node_energies[: data.nlocal]
        if isinstance(exchange, CoulombExchange):
            exchange.add_gradient(gradient)
            energies = energies + exchange.energies
        if not (np.isfinite(energies).all() and np.isfinite(gradient).all()):
            raise MLIAPError("non-finite energy or force")
        write_results(data, self._energy_per_ev * energies, self._energy_per_ev * gradient)

    @property
    def _here(self) -> str:
        return f" (rank {self._rank.index} of {self._rank.size})"

    def _together(self, action: Callable[[], Result], where: str = "") -> Result:
        """Return what ``action`` returns; where it fails on one rank, fail on every rank alike.

        Args:
            where: added to the reason.
        """
        result, failure, reason = None, None, ""
        try:
            result = action()
        except BaseException as error:
            failure, reason = error, (str(error) or type(error).__name__) + where
        speaker = self._first(failure is not None)
        if speaker is None:
            return result  # type: ignore[return-value]
        reason = reason if self._comm is None else self._comm.bcast(reason, root=speaker)
        style = "pair_style mliap unified: "
        text = style + reason.removeprefix(style)
        self._warn(text)
        # What is said in words needs no traceback; the unexpected does.
        raise MLIAPError(text) from (None if isinstance(failure, ValueError) else failure)

    def _first(self, failed: bool) -> int | None:
        """Return the first rank that failed; collective."""
        if self._comm is None:
            return self._rank.index if failed else None
        from mpi4py import MPI

        # A buffer, not a Python object: this is done in every step.
        first = np.array([self._rank.index if failed else self._rank.size])
        self._comm.Allreduce(MPI.IN_PLACE, first, MPI.MIN)
        return int(first[0]) if first[0] < self._rank.size else None

    def _warn(self, text: str) -> None:
        """Put a line on rank 0's screen and into the log file, now."""
        if self.lammps is not None and self._rank.index == 0:
            self.lammps.warn(text)

    def _end(self, error: BaseException) -> None:
        """End all ranks: LAMMPS would let the others wait for this one. One rank: return."""
        text = f"pair_style mliap unified: {str(error) or type(error).__name__}{self._here}"
        self._warn(text)
        if self._rank.size == 1:
            return
        traceback.print_exception(error)
        print(f"ERROR: {text}", file=sys.stderr, flush=True)
        self._comm.Abort(1)


def _unchecked() -> bool:
    return os.environ.get(texts.UNCHECKED) == "1"
