"""ML-IAP: a model in LAMMPS's own ``pair_style mliap unified``; no other module knows its names.

ML-IAP sets ``interface`` on the object it unpickled, reads ``element_types``, ``rcutfac`` and two
sizes, and calls ``compute_descriptors``, ``compute_gradients`` and ``compute_forces`` with a new
data object in every step. A data object of the KOKKOS package can exchange rows between ranks; for
one that cannot, LAMMPS lists the pairs of ghosts too (``pair_style mliap unified FILE 1``).
"""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from lammps_mace.coupling.charges import charge_use
from lammps_mace.coupling.library import Lammps, find_lammps
from lammps_mace.coupling.neighbors import Exchange, NoExchange
from lammps_mace.coupling.pairs import (
    Arranged,
    Pairs,
    own_centres,
    own_images,
    with_ghost_centres,
)
from lammps_mace.coupling.units import energy_per_ev
from lammps_mace.modelfile import Model, read_parts
from lammps_mace.placement import find_rank
from lammps_mace.runtime import start_jax
from lammps_mace.stub import UnifiedModel

Result = TypeVar("Result")
UNCHECKED = "LAMMPS_MACE_UNCHECKED"


class UnifiedError(ValueError):
    """Why LAMMPS cannot run a model; the message says what to write in the input script."""


class Unified:
    """One model in one pair style of one rank.

    Args:
        stub: what LAMMPS unpickled.
        interface: ML-IAP's side of the model.

    Attributes:
        element_types: chemical symbols; ML-IAP numbers the elements in this order.
        ndescriptors, nparams: ML-IAP wants at least one.
        rcutfac: half the cutoff, Å.

    Raises:
        UnifiedError: the model cannot be used, on this rank or on another.
    """

    ndescriptors = 1
    nparams = 1

    def __init__(self, stub: UnifiedModel, interface: Any) -> None:
        self.interface = interface
        self.lammps = find_lammps(interface)
        self._rank, self._comm = find_rank(_communicator(self.lammps))
        self._last_step: int | None = None
        self._engine: Any = None
        self._energy_per_ev = 1.0
        self.model = self._together(lambda: self._load(stub))
        info = self.model.dataset_info
        self.element_types = list(info.known_elements(self.model.head))
        self.rcutfac = info.graph_cutoff_angstrom / 2
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
        try:
            self._evaluate(data)
        except BaseException as error:
            self._end(error)
            raise

    def _load(self, stub: UnifiedModel) -> Model:
        if self.lammps is None and self._rank.index == 0:
            print(_UNRECOGNISED, file=sys.stderr, flush=True)
        if self.lammps is not None:
            self._energy_per_ev = energy_per_ev(self.lammps.units)
        model = read_parts(stub, None, None)
        if charge_use(model) is not None:
            raise UnifiedError(
                "ML-IAP has no room for the charges of a model (use_coulomb_term, write_charges): "
                "compile the plugin of lammps-mace for this LAMMPS"
            )
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

    def _check(self, data: Any) -> None:
        """Refuse what would give wrong numbers.

        Raises:
            UnifiedError: with the line to write.
        """
        if self.lammps is not None and self.lammps.special_bonds:
            raise UnifiedError(
                "special_bonds drops pairs of bonded atoms, which the model needs: "
                "add `special_bonds lj/coul 1.0 1.0 1.0`"
            )
        if _can_exchange(data) or self._needs_no_ghosts(data) or self._tags(data) is not None:
            return
        if not _has_ghost_centres(data):
            raise UnifiedError(_NO_GHOSTS.format(reach=self._reach_angstrom))
        self._check_reach()

    @property
    def _reach_angstrom(self) -> float:
        """How far an atom's energy reaches, with the skin; rounded up."""
        skin = 2.0 if self.lammps is None else self.lammps.skin_angstrom
        reach = self._n_layers * self.model.dataset_info.graph_cutoff_angstrom + skin
        return np.ceil(reach * 1000 - 1e-6) / 1000

    def _check_reach(self) -> None:
        seen = None if self.lammps is None else self.lammps.communication_cutoff()
        if seen is None:
            if os.environ.get(UNCHECKED) != "1":
                raise UnifiedError(_UNKNOWN_REACH.format(reach=self._reach_angstrom))
        elif seen < self._reach_angstrom - 1e-3:
            raise UnifiedError(
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

    def _arranged(self, data: Any, pairs: Pairs) -> tuple[Arranged, Exchange]:
        if _can_exchange(data):
            return own_centres(pairs), KokkosExchange(data)
        if self._needs_no_ghosts(data):
            return own_centres(pairs), NoExchange()
        if (tags := self._tags(data)) is not None:
            return own_images(pairs, tags), NoExchange()
        return with_ghost_centres(pairs, self._n_layers), NoExchange()

    def _evaluate(self, data: Any) -> None:
        # Not at the top: the engine imports JAX, which must be configured first.
        import jax

        from lammps_mace.engine import Engine

        pairs = read_pairs(data, self._species)
        arranged, exchange = self._arranged(data, pairs)
        with jax.default_device(self._device):
            self._engine = self._engine or Engine(self.model)
            prediction = self._engine.evaluate(arranged.neighbors, exchange)
        gradient = arranged.gradient(prediction)
        if not (np.isfinite(prediction.energy) and np.isfinite(gradient).all()):
            raise UnifiedError("non-finite energy or force")
        energies = prediction.node_energies[: pairs.n_local]
        write_results(data, self._energy_per_ev * energies, self._energy_per_ev * gradient)

    def _together(self, action: Callable[[], Result]) -> Result:
        """Return what ``action`` returns; where it fails on one rank, fail on every rank alike."""
        result, failure = None, None
        try:
            result = action()
        except Exception as error:
            failure = error
        reason = "" if failure is None else str(failure) or type(failure).__name__
        reasons = [reason] if self._comm is None else self._comm.allgather(reason)
        if not any(reasons):
            return result  # type: ignore[return-value]
        style, reason = "pair_style mliap unified: ", next(filter(None, reasons))
        text = style + reason.removeprefix(style)
        if self.lammps is not None and self._rank.index == 0:
            self.lammps.warn(text)  # so that it is in the log file too
        # What is said in words needs no traceback; the unexpected does.
        raise UnifiedError(text) from (None if isinstance(failure, ValueError) else failure)

    def _end(self, error: BaseException) -> None:
        """End all ranks: LAMMPS would let the others wait for this one. One rank: return."""
        text = f"pair_style mliap unified: {error} (rank {self._rank.index} of {self._rank.size})"
        if self.lammps is not None and self._rank.index == 0:
            self.lammps.warn(text)
        if self._rank.size == 1:
            return
        traceback.print_exception(error)
        print(f"ERROR: {text}", file=sys.stderr, flush=True)
        self._comm.Abort(1)


_UNRECOGNISED = (
    "WARNING: lammps-mace does not recognise this LAMMPS: it cannot check units, special_bonds and "
    "the communication cutoff; use `units metal`"
)
_NO_GHOSTS = (
    "this LAMMPS cannot exchange features between ranks and was not asked for the neighbours of "
    "ghosts: write `pair_style mliap unified FILE 1` and `comm_modify cutoff {reach:g}`, or "
    "compile the plugin of lammps-mace for this LAMMPS, or use KOKKOS"
)
_UNKNOWN_REACH = (
    "the communication cutoff of this LAMMPS is not known: make sure that the input says "
    "`comm_modify cutoff {reach:g}` or more (layers x cutoff + skin), then set the variable "
    f"{UNCHECKED}=1"
)


def _communicator(lammps: Lammps | None) -> int | None:
    """Return the Fortran handle of the ranks that work together; None without MPI."""
    if lammps is not None:
        return lammps.comm
    flag = ctypes.c_int(0)
    try:
        ctypes.CDLL(None).MPI_Initialized(ctypes.byref(flag))
    except AttributeError:
        return None
    if not flag.value:
        return None
    from mpi4py import MPI

    return MPI.COMM_WORLD.py2f()


def _can_exchange(data: Any) -> bool:
    return hasattr(data, "forward_exchange")


def _has_ghost_centres(data: Any) -> bool:
    return data.natomneigh > data.nlistatoms


def read_pairs(data: Any, species_of_element: np.ndarray) -> Pairs:
    """Return the pairs of a data object.

    Args:
        species_of_element: int32 [n_elements + 1], the last is for element -1.
    """
    n_local, n_pairs = data.nlocal, data.npairs
    # Arrays without elements cannot be had: their getters raise.
    elements = _host(data.elems) if data.ntotal else np.zeros(0, np.int32)
    species = species_of_element[elements]
    unlisted = np.ones(n_local, bool)
    unlisted[_listed(data)] = False
    species[:n_local][unlisted] = -1
    if n_pairs == 0:
        nobody = np.zeros(0, np.int32)
        return Pairs(species, n_local, nobody, nobody, np.zeros((0, 3)))
    centres, neighbours = _host(data.pair_i), _host(data.pair_j)
    return Pairs(species, n_local, centres, neighbours, _host(data.rij))


def write_results(data: Any, energies: np.ndarray, gradient: np.ndarray) -> None:
    """Give energies and forces to LAMMPS.

    Args:
        energies: float64 [n_local], in LAMMPS's unit.
        gradient: float64 [n_pairs, 3], dE/d rij: ML-IAP adds it to the force on i.
    """
    data.energy = float(energies.sum())
    if data.nlistatoms:
        _write_energies(data, energies[_listed(data)])
    if data.npairs:  # ML-IAP looks at the first row without asking
        data.update_pair_forces(_like(data.rij, gradient))


def _write_energies(data: Any, energies: np.ndarray) -> None:
    if hasattr(data, "eatoms"):  # KOKKOS: a view to fill
        data.eatoms[:] = _like(data.eatoms, energies)
    else:  # can be set, not read
        data.eatoms = energies


def _listed(data: Any) -> np.ndarray:
    """Return the own atoms of the neighbour list; energies are in this order."""
    if data.nlistatoms == 0:
        return np.zeros(0, np.int64)
    return _host(data.iatoms)[: data.nlistatoms]


def _host(array: Any) -> np.ndarray:
    """Return an array of ML-IAP as NumPy array; on a GPU it is CuPy's."""
    return array if isinstance(array, np.ndarray) else array.get()


def _like(model: Any, array: np.ndarray) -> Any:
    """Return ``array`` where ``model`` is: on the host, or on its GPU."""
    if isinstance(model, np.ndarray):
        return array
    import cupy

    with model.device:
        return cupy.asarray(array)


class KokkosExchange(NoExchange):
    """Exchanges rows through a data object of the KOKKOS package."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def forward_exchange(self, rows: np.ndarray) -> None:
        """Fill the ghost rows of [n_total, width] from their owners, in place; collective."""
        self._exchange(self._data.forward_exchange, rows)

    def reverse_exchange(self, rows: np.ndarray) -> None:
        """Add the ghost rows into their owners and zero them, in place; collective."""
        self._exchange(self._data.reverse_exchange, rows)

    def _exchange(self, method: Any, rows: np.ndarray) -> None:
        given = _like(self._data.elems, rows) if len(rows) else rows
        result = given.copy()
        method(_Buffer(given), _Buffer(result), rows.shape[1])
        rows[:] = _host(result)


class _Buffer:
    """An array as ML-IAP's exchange wants it: with ``dtype`` and the address ``data.ptr``."""

    def __init__(self, array: Any) -> None:
        self.dtype, self.data = array.dtype, self
        self.ptr = array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr
