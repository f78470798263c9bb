"""StructureEngine: evaluates structures of ASE with the engine that runs in LAMMPS."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax
import numpy as np

from lammps_mace._pairs import sum_pairs
from lammps_mace.calculator.coulomb_sum import CoulombSum
from lammps_mace.calculator.pair_list import NearPairs, PairList
from lammps_mace.engine.interface import DomainGraph, NoExchange
from lammps_mace.evaluation import species_of
from lammps_mace.lowering.charge_settings import charge_settings
from lammps_mace.lowering.used_elements import EngineOfUsedElements
from lammps_mace.models import families
from lammps_mace.models.model import Model
from lammps_mace.runtime.jax_setup import start_device
from lammps_mace.runtime.placement import find_rank

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True, eq=False)
class EngineEvaluation:
    """What the engine says about one structure; float64.

    Attributes:
        energies: [n_atoms], eV.
        forces: [n_atoms, 3], eV/Å.
        virial: [3, 3], eV: -dE/d(strain), as :class:`lammps_mace.evaluation.Evaluation` has it.
        charges: [n_atoms], e; None for models without charges.
        pairs: those of the layers, and those of a Coulomb sum; each with its dE/d displacements
            [n_pairs, 3], eV/Å.
    """

    energies: np.ndarray
    forces: np.ndarray
    virial: np.ndarray
    charges: np.ndarray | None
    pairs: list[tuple[NearPairs, np.ndarray]]

    def virials(self) -> np.ndarray:
        """Return the virial of each atom, [n_atoms, 3, 3], eV: half of each of its pairs'.

        They are those of LAMMPS's `compute stress/atom`, made symmetric, and add up to the virial.
        """
        n = len(self.energies)
        total = np.zeros((9, n))
        for pairs, gradient in self.pairs:
            virials = -np.einsum("pi,pj->ijp", gradient, pairs.displacements).reshape(9, -1)
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
        skin: see :class:`lammps_mace.calculator.pair_list.PairList`.

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
        self._near = PairList(families.facts(model).cutoff_angstrom, skin)
        self._far: PairList | None = None
        if self._settings is not None and self._settings.cutoff_angstrom:
            self._far = PairList(self._settings.cutoff_angstrom, skin)
        self._engine = EngineOfUsedElements(model)
        self._numbers, self._species = b"", np.zeros(0, np.int32)  # of the last structure
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
        if (numbers := atoms.numbers.tobytes()) != self._numbers:
            self._species, self._numbers = species_of(self.model, atoms), numbers
        near = self._near.find(atoms)
        exchange = NoExchange()
        if self._far is not None and self._settings is not None:
            far = self._far.find(atoms)
            exchange = CoulombSum(self._settings, far.as_pairs(), len(atoms))
        graph = DomainGraph(
            species=self._species,
            offsets=near.offsets,
            senders=near.senders,
            displacements=near.displacements,
            one_domain=True,
        )
        with jax.default_device(self._device):
            prediction = self._engine.evaluate(graph, exchange)
        parts, energies = [(near, prediction.pair_gradient)], prediction.node_energies
        if isinstance(exchange, CoulombSum):
            # Its gradient is that of the other sign of the displacements.
            parts.append((far, -exchange.gradient))
            energies = energies + exchange.energies
        forces, virial = np.zeros((len(atoms), 3)), np.zeros((3, 3))
        for pairs, gradient in parts:
            sum_pairs(
                pairs.offsets, pairs.senders, pairs.displacements, gradient, forces, virial
            )  # fmt: skip
        return EngineEvaluation(
            energies, forces, 0.5 * (virial + virial.T), prediction.charges, parts
        )
