"""LoweredModel: a model as the engine runs it; it names no family of models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lammps_mace.engine.charges import ChargeSettings
from lammps_mace.engine.layer import Layer


@dataclass(frozen=True, eq=False)
class LoweredModel:
    """The layers of a model, and what turns their outputs into energies in eV.

    Attributes:
        layers: in order.
        cutoff_angstrom: pairs farther apart do not interact.
        dtype: float32 or float64, of the layers' arrays.
        energy_scale: eV of one of the network's units of energy.
        energy_shifts: float64 [n_species + 1], eV, energy of an atom besides the network's. The
            last is 0, for species -1: atoms that are not part of the model.
        n_outputs: outputs per atom: 1, its energy, or 2, its energy and its charge.
        charges: what the charges are for; None if nobody needs them.
        description: how the layers are computed, one line for people.
        single_threaded: XLA's CPU runtime is expected to run a step in the thread that calls it.
    """

    layers: Sequence[Layer]
    cutoff_angstrom: float
    dtype: np.dtype
    energy_scale: float
    energy_shifts: np.ndarray
    n_outputs: int
    charges: ChargeSettings | None
    description: str
    single_threaded: bool

    @property
    def n_inner_layers(self) -> int:
        """Layers whose forward and backward passes are apart; the last layer joins its passes.

        With a Coulomb sum the last layer cannot: all charges come before any gradient.
        """
        coulomb = self.charges is not None and self.charges.cutoff_angstrom > 0.0
        return len(self.layers) - (not coulomb)

    @property
    def exchange_widths(self) -> tuple[int, ...]:
        """Numbers per atom in each forward exchange of a step, in order."""
        return tuple(math.prod(layer.sent_shape) for layer in self.layers if layer.sent_shape)
