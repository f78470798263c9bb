"""StructureEngine: evaluates structures of ASE with the engine that runs in LAMMPS."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax
import numpy as np

from lammps_mace.calculator.coulomb_sum import CoulombSum
from lammps_mace.engine.interface import DomainGraph, NoExchange
from lammps_mace.evaluation import Evaluation, PairFinder, Pairs, pair_forces, species_of
from lammps_mace.lowering.charge_settings import charge_settings
from lammps_mace.lowering.used_elements import EngineOfUsedElements
from lammps_mace.models import families
from lammps_mace.models.model import Model
from lammps_mace.runtime.jax_setup import start_device
from lammps_mace.runtime.placement import find_rank

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class EngineEvaluation(Evaluation):
    """What the engine says about one structure.

    Attributes:
        pairs: those of the layers, and those of a Coulomb sum; each with its dE/d vectors, eV/Å.
    """

    pairs: list[tuple[Pairs, np.ndarray]]

    def virials(self) -> np.ndarray:
        """Return the virial of each atom, [n_atoms, 3, 3], eV: half of each of its pairs'.

        They are those of LAMMPS's `compute stress/atom`, made symmetric, and add up to the virial.
        """
        n = len(self.energies)
        total = np.zeros((9, n))
        for pairs, gradient in self.pairs:
            virials = -np.einsum("pi,pj->ijp", gradient, pairs.vectors).reshape(9, -1)
            for sum_, one in zip(total, virials, strict=True):
                sum_ += np.bincount(pairs.senders, one, n) + np.bincount(pairs.receivers, one, n)
        virials = 0.5 * total.T.reshape(n, 3, 3)
        return 0.5 * (virials + virials.transpose(0, 2, 1))


class StructureEngine:
    """A model that evaluates one structure after the other, with arrays that have room to spare.

    It compiles for the first structure, for one that has more atoms or pairs than there is room
    for, and for one with a new element.

    Args:
        model: what to evaluate; charges are predicted where it has any and knows their total.
        skin: see :class:`lammps_mace.evaluation.PairFinder`.

    Raises:
        NoDeviceError: JAX has no device.
    """

    def __init__(self, model: Model, skin: float) -> None:
        self._device = start_device(find_rank(None)[0])
        charges = families.partial_charges(model)
        if charges is not None and charges.total is not None:
            model = replace(model, write_charges=True)
        self.model = model
        self._settings = charge_settings(model)
        self._near = PairFinder(families.facts(model).cutoff_angstrom, skin)
        self._far: PairFinder | None = None
        if self._settings is not None and self._settings.cutoff_angstrom:
            self._far = PairFinder(self._settings.cutoff_angstrom, skin)
        self._engine = EngineOfUsedElements(model)
        self._one_at_a_time = threading.Lock()

    @property
    def has_charges(self) -> bool:
        """Whether it predicts charges."""
        return self._settings is not None

    def evaluate(self, atoms: Atoms) -> EngineEvaluation:
        """Return the properties of a structure: any cell, periodic in any directions.

        Raises:
            ValueError: the structure has an element that the model (or its head) does not know, a
                periodic direction without a cell vector, a number that is not finite, or two
                atoms in one place.
        """
        with self._one_at_a_time:
            return self._evaluate(atoms)

    def _evaluate(self, atoms: Atoms) -> EngineEvaluation:
        species, n = species_of(self.model, atoms), len(atoms)
        near = self._near.find(atoms)
        _refuse_one_place(near)
        exchange = NoExchange()
        if self._far is not None and self._settings is not None:
            far = self._far.find(atoms)
            exchange = CoulombSum(self._settings, far, n)
        graph = DomainGraph(
            species=species,
            offsets=np.searchsorted(near.receivers, np.arange(n + 1)),
            senders=near.senders,
            displacements=-near.vectors,
            one_domain=True,
        )
        with jax.default_device(self._device):
            prediction = self._engine.evaluate(graph, exchange)
        # The engine's displacements have the opposite sign of vectors.
        parts, energies = [(near, -prediction.pair_gradient)], prediction.node_energies
        if isinstance(exchange, CoulombSum):
            parts.append((far, exchange.gradient))
            energies = energies + exchange.energies
        virial = -sum(gradient.T @ pairs.vectors for pairs, gradient in parts)
        return EngineEvaluation(
            energy=float(energies.sum()),
            forces=np.sum([pair_forces(gradient, pairs, n) for pairs, gradient in parts], axis=0),
            virial=0.5 * (virial + virial.T),
            energies=energies,
            charges=prediction.charges,
            volume=float(atoms.get_volume()) if all(atoms.pbc) else None,
            pairs=parts,
        )


def _refuse_one_place(pairs: Pairs) -> None:
    # The network is finite there, and its forces have no direction.
    if len(same := np.flatnonzero(~pairs.vectors.any(axis=1))):
        one, other = pairs.receivers[same[0]], pairs.senders[same[0]]
        raise ValueError(f"atoms: {one} and {other} are in one place")
