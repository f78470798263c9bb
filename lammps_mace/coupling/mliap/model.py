"""ML-IAP: a model in LAMMPS's own ``pair_style mliap unified``; no other module knows its names.

ML-IAP sets ``interface`` on the object it unpickled, reads ``element_types``, ``rcutfac`` and two
sizes, and calls ``compute_descriptors``, ``compute_gradients`` and ``compute_forces`` with a new
data object in every step. A data object of the KOKKOS package can exchange rows between ranks; for
one that cannot, LAMMPS lists the pairs of ghosts too (``pair_style mliap unified FILE 1``).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from lammps_mace.coupling.mliap import messages as texts
from lammps_mace.coupling.mliap.checks import RunChecks
from lammps_mace.coupling.mliap.collective import Collective
from lammps_mace.coupling.mliap.coulomb import CoulombExchange
from lammps_mace.coupling.mliap.data import can_exchange, owner, write_results
from lammps_mace.coupling.mliap.graph_of_data import GraphMaker
from lammps_mace.coupling.mliap.lammps_handle import communicator, find_lammps
from lammps_mace.coupling.mliap.messages import MLIAPError
from lammps_mace.coupling.mliap.pair_lists import have_coincident_atoms
from lammps_mace.coupling.units import energy_per_ev
from lammps_mace.lowering.charge_settings import charge_settings
from lammps_mace.modelfile import Model, only_model, read_parts
from lammps_mace.models import families
from lammps_mace.runtime.jax_setup import start_jax
from lammps_mace.runtime.placement import find_rank
from lammps_mace.stub import UnifiedModel


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
        self.ranks = Collective(*find_rank(communicator(self.lammps)), self.lammps)
        self._last_step: int | None = None
        self._engine: Any = None
        self._energy_per_ev = 1.0
        self.model = self.ranks.together(lambda: self._load(stub))
        facts, charges = families.facts(self.model), charge_settings(self.model)
        self.element_types = list(facts.known_elements)
        coulomb_cutoff = 0.0 if charges is None else charges.cutoff_angstrom
        self.rcutfac = max(facts.cutoff_angstrom, coulomb_cutoff) / 2
        # One entry more: ML-IAP's element -1, not part of the model, reads the last.
        species = [facts.elements.index(symbol) for symbol in self.element_types]
        self.graphs = GraphMaker(
            np.array([*species, -1], np.int32), facts.cutoff_angstrom,
            facts.n_layers, charges, self.ranks.comm, self.ranks.rank.size,
            self.lammps,
        )  # fmt: skip
        self.checks = RunChecks(self.graphs, self.ranks, self.lammps)
        with self.ranks.tell_notices():
            self._device = start_jax(self.ranks.rank)

    def compute_descriptors(self, data: Any) -> None:
        """Do nothing: everything happens in :meth:`compute_forces`."""

    def compute_gradients(self, data: Any) -> None:
        """Do nothing."""

    def compute_forces(self, data: Any) -> None:
        """Evaluate one step and write energies and forces into ``data``."""
        if self._is_new_run():
            self.ranks.together(lambda: self._start_run(data))
            if self._engine is None and can_exchange(data) and self.ranks.rank.size > 1:
                self.ranks.together(lambda: self.checks.prove_exchange(data))
        if not can_exchange(data):
            self.ranks.together(lambda: self.evaluate(data), self.ranks.here)
            return
        try:
            self.evaluate(data)
        except BaseException as error:  # the others may wait in an exchange: no agreement
            self.ranks.end(error)
            raise

    def evaluate(self, data: Any) -> None:
        """Do it, and raise on this rank alone what goes wrong here."""
        # Not at the top: the engine imports JAX, which must be configured first.
        import jax

        from lammps_mace.lowering.used_elements import EngineOfUsedElements

        listed, exchange = self.graphs.graph_of_data(data)
        if have_coincident_atoms(listed.graph.displacements):
            raise MLIAPError(texts.SAME_PLACE)
        with jax.default_device(self._device):
            self._engine = self._engine or EngineOfUsedElements(self.model)
            with self.ranks.tell_notices():
                prediction = self._engine.evaluate(listed.graph, exchange)
        gradient = listed.gradient(prediction)
        energies = prediction.node_energies[: data.nlocal]
        if isinstance(exchange, CoulombExchange):
            exchange.add_gradient(gradient)
            energies = energies + exchange.energies
        if not (np.isfinite(energies).all() and np.isfinite(gradient).all()):
            raise MLIAPError("non-finite energy or force")
        write_results(data, self._energy_per_ev * energies, self._energy_per_ev * gradient)

    def _load(self, stub: UnifiedModel) -> Model:
        if self.lammps is None and self.ranks.rank.index == 0:
            print(texts.UNRECOGNISED, file=sys.stderr, flush=True)
        if self.lammps is not None:
            self._energy_per_ev = energy_per_ev(self.lammps.units)
        model = only_model(read_parts(stub, None, None), f"{stub.name}.model")
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

    def _start_run(self, data: Any) -> None:
        """Check the run; before the first, find the device of LAMMPS's arrays."""
        self.checks.check(data)
        if self._engine is None:
            import jax

            self._device = owner(data, jax.local_devices()) or self._device
            self.checks.warn_of_version(data)
