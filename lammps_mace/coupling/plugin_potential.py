"""PluginPotential: one pair style of one rank; what the plugin's bridge creates and calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lammps_mace.coupling.model_path import find_model, sidecar_digest
from lammps_mace.coupling.plugin_graph import graph_of_list, graph_of_step
from lammps_mace.coupling.units import energy_per_ev
from lammps_mace.engine.charges import NonFiniteChargeError
from lammps_mace.lowering.charge_settings import charge_settings
from lammps_mace.modelfile import Model, load_member
from lammps_mace.models import families
from lammps_mace.runtime.cache import notices
from lammps_mace.runtime.compile_notice import compile_notice
from lammps_mace.runtime.garbage import without_collection
from lammps_mace.runtime.jax_setup import is_only_device, start_jax
from lammps_mace.runtime.placement import Place, find_rank, place_table, wants_device_path

if TYPE_CHECKING:
    from lammps_mace._bridge import Step, StepList
    from lammps_mace.engine.engine import Engine

T = TypeVar("T")
DEVICE_PATH = "neighbour lists stay on the device, positions go there and forces come back"


class PluginPotential:
    """A model in LAMMPS.

    Args:
        path: X.model.
        comm: Fortran handle of LAMMPS's communicator; None without MPI.
        units: LAMMPS's unit style.
        member: which model of a file that holds several.

    Attributes:
        n_members: models that the file holds.
        energy_per_ev: what the plugin multiplies all results by.
        identity: of the model: SHA-256 of its sidecar, absolute path of the model file.
        device_path: whether neighbour lists stay on the device.
        engine: evaluates the model of the elements that :meth:`set_elements` was given.

    Raises:
        ValueError: the model file or the units cannot be used.
    """

    engine: Engine

    @without_collection()
    def __init__(self, path: str, comm: int | None, units: str, member: int = 0) -> None:
        # First: it is collective, and everything below may fail on one rank alone.
        self._rank, self._comm = find_rank(comm)
        path = find_model(path)
        self.energy_per_ev = energy_per_ev(units)
        self.model, self.n_members = load_member(path, member)
        self.charges = charge_settings(self.model)
        self.identity = sidecar_digest(path), os.path.abspath(path)
        with notices() as self._notices:
            self._device = start_jax(self._rank)
        self._is_only_device = is_only_device(self._device)
        self.device_path = wants_device_path(self._device)
        self._n_local = 0  # of the last step
        self._is_first_step = True
        self._untold: list[str] = []  # of all ranks, since the elements were set

    @property
    def cutoff_angstrom(self) -> float:
        """Pairs farther apart than this do not interact, Å."""
        return families.facts(self.model).cutoff_angstrom

    @property
    def closest_angstrom(self) -> float:
        """Atoms that are closer are far from all training data, Å; 0: not known."""
        return families.facts(self.model).closest_angstrom

    @property
    def exchange_row_bytes(self) -> tuple[int, ...]:
        """Bytes per atom of each forward exchange of a step, in order."""
        # Of the model file, not of the engine: the plugin asks before there is one.
        item = np.dtype(self.model.dtype).itemsize
        return tuple(width * item for width in families.facts(self.model).exchanged)

    def set_elements(self, names: Sequence[str | None]) -> list[int]:
        """Return the species of each LAMMPS type, -1 for NULL; makes the engine of these elements.

        A model knows up to 89 elements: those that no type has must cost nothing.

        Raises:
            ValueError: an element that the model (or its head) does not know.
        """
        told: list[str] = []
        try:
            with notices() as told:
                return self._set_elements(names)
        finally:  # every rank comes here, whatever fails on one alone
            every = [told] if self._comm is None else self._comm.allgather(told)
            texts = dict.fromkeys(text for texts in every for text in texts)
            self._untold = [text for text in texts if text not in self._notices]

    @without_collection()
    def _set_elements(self, names: Sequence[str | None]) -> list[int]:
        facts = families.facts(self.model)
        known = facts.known_elements
        for name in names:
            if name is not None and name not in known:
                raise ValueError(
                    f"pair_coeff: the model has no element {name!r}; it knows {' '.join(known)} "
                    "(and NULL for types that it must not see)"
                )
        chosen = sorted({facts.elements.index(name) for name in names if name is not None})
        model = families.select_elements(self.model, chosen or [0])
        self.engine = _engine(_Source(model), self._device)
        elements = families.facts(model).elements
        return [-1 if name is None else elements.index(name) for name in names]

    def compute(self, step: Step) -> float:
        """Evaluate one step into ``step``; return the energy of this rank's atoms, eV.

        A Coulomb sum is not in it: the plugin adds it.
        """
        while self._untold:  # here rank 0 can write into the log
            step.log(f"lammps-mace: {self._untold.pop(0)}")
        self._n_local = step.n_local
        if step.list is not None:
            return self._compute_list(step, step.list)
        graph = graph_of_step(step)
        prediction = self._evaluated(
            step, lambda: self.engine.evaluate(graph, step, step.pair_gradient)
        )
        step.node_energies[:] = prediction.node_energies
        if step.centroid_virial is not None:
            step.centroid_virial[:] = prediction.centroid_virial
        return prediction.energy

    def _compute_list(self, step: Step, given: StepList) -> float:
        """Evaluate a step whose neighbour list is on the device."""
        graph = graph_of_list(step, given, self.closest_angstrom)
        found = self._evaluated(step, lambda: self.engine.evaluate_list(graph, step))
        step.node_energies[:] = found.node_energies
        given.forces[:] = found.forces
        if given.virials is not None:
            given.virials[:] = found.virials
        given.finish(found.virial, found.n_close, found.coincident, found.rowless)
        return found.energy

    def _evaluated(self, step: Step, evaluate: Callable[[], T]) -> T:
        """Return the engine's result, computed on this rank's device."""
        try:
            with self._on_device(), self._notice(step):
                return evaluate()
        except NonFiniteChargeError as error:
            raise ValueError(f"non-finite charge of atom ID {step.tags[error.row]}") from None

    def _on_device(self) -> AbstractContextManager[None]:
        """Let JAX compute on this rank's device."""
        import jax

        # To say what is so takes 3 % of a step of 8 atoms.
        return nullcontext() if self._is_only_device else jax.default_device(self._device)

    def _notice(self, step: Step) -> AbstractContextManager[None]:
        """Tell that the first step compiles; a later one has its thermo output around it."""
        first, self._is_first_step = self._is_first_step, False
        return _first_step(step.log) if first else nullcontext()

    def device_map(self) -> str:
        """Return which rank runs where, and what of the cache folder is not used, for the log.

        Every rank calls this together.
        """
        place = Place.of(self._rank, self._device)
        mine = place, self._notices
        every = [mine] if self._comm is None else self._comm.allgather(mine)
        places, said = zip(*every, strict=True)
        lines = dict.fromkeys(f"lammps-mace: {text}" for texts in said for text in texts)
        path = [f"lammps-mace: device path: {DEVICE_PATH}"] if self.device_path else []
        return "\n".join([place_table(places), *path, *lines])

    def report(self, stuck: bool = False) -> str:
        """Return the text for the end of the log; every rank calls this together.

        Args:
            stuck: this was a minimisation whose line search found no way down.
        """
        from lammps_mace.coupling.log_report import COARSE, report

        text = report(self.engine, self._n_local, self._comm)
        return f"{COARSE}\n{text}" if stuck and self.model.dtype == "float32" else text


@contextmanager
def _first_step(log: Callable[[str], None]) -> Iterator[None]:
    with without_collection(), compile_notice(log):
        yield


class _Source:
    """A model from a file, equal to any with the same content and elements."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._key = model.sha256, families.facts(model).elements

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Source) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


# `clear`, a second pair_style line, hybrid/overlay: the same models are not compiled again.
@lru_cache(maxsize=16)
def _engine(source: _Source, device: Any) -> Engine:
    # Not at the top: the engine imports JAX, which must be configured first.
    import jax

    from lammps_mace.lowering.build import build_engine

    with jax.default_device(device):
        return build_engine(source.model)
