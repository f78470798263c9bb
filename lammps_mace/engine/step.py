"""A step: forward through all layers and back, with the ghost exchanges between the layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace._pairs import give_energies
from lammps_mace.engine.buffers import LayerBuffers
from lammps_mace.engine.capacity import Capacity
from lammps_mace.engine.ghost_exchange import GhostExchange
from lammps_mace.engine.host_memory import readable
from lammps_mace.engine.interface import Exchange
from lammps_mace.engine.layer import Gradients, NodeFeatures
from lammps_mace.engine.lowered_model import LoweredModel
from lammps_mace.engine.passes import Passes
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.engine.step_layout import StepLayout


class StepResult(NamedTuple):
    """What a step computes.

    Attributes:
        outputs: [slots, n_outputs], the network's energies and, where it predicts them, charges.
        gradient: [pair rows, 3], dE/d vectors.
        charges: float64 [n_local], e; None where nobody needs them.
    """

    outputs: jax.Array
    gradient: jax.Array
    charges: np.ndarray | None


class StepRunner(Protocol):
    """A way to run a step."""

    def run(self, layout: StepLayout, arrays: StepArrays, exchange: Exchange) -> StepResult:
        """Return the result of a step; every rank calls this together."""


@dataclass(frozen=True)
class StepSequence:
    """The passes of a step in their order; both ways to run a step follow it.

    Attributes:
        passes: of the layers.
        n_outputs: see :class:`lammps_mace.engine.lowered_model.LoweredModel`.
        capacity: sizes of the arrays.
        ghosts: moves features between the passes.
        end: is told when a stage has ended, and its result.
        charges_of: outputs -> charges [n_local] and dE/d charges as the network predicts them
            [slots]; None where nobody needs charges.
    """

    passes: Passes
    n_outputs: int
    capacity: Capacity
    ghosts: GhostExchange
    end: Callable[..., None]
    charges_of: Callable[[jax.Array], tuple[np.ndarray, jax.Array]] | None

    def run(
        self, arrays: StepArrays, weights: list[Any], buffers: list[LayerBuffers]
    ) -> tuple[StepResult, list[LayerBuffers]]:
        """Return the result and the buffers for the next step."""
        outputs, made, read = self.forward(arrays, weights, buffers)
        # The first layer reads its features from a table of species: it has none.
        features = [None, *(one.features for one in made)]
        charges: np.ndarray | None = None
        charge_adjoint: jax.Array | None = None
        if self.passes.last is None:
            gradients = Gradients(jnp.zeros_like(arrays.vectors), features.pop())
        else:
            outputs, gradients = self.passes.last(
                weights[-1], self._with_pairs(-1, weights, arrays), features.pop(), outputs,
                self.ghosts.zero, capacity=self.capacity,
            )  # fmt: skip
            self.end("last layer", outputs)
        if self.charges_of is not None:
            charges, charge_adjoint = self.charges_of(outputs)
        if self.passes.last is not None:
            charge_adjoint = None  # 0: no energy depends on the charges
        gradient = self._backward(read, weights, made, features, gradients, charge_adjoint)
        return StepResult(outputs, gradient, charges), made

    def forward(
        self, arrays: StepArrays, weights: list[Any], buffers: list[LayerBuffers]
    ) -> tuple[jax.Array, list[LayerBuffers], list[StepArrays]]:
        """Return the outputs of the inner layers, what these have made, and what they have read."""
        outputs = jnp.zeros((self.capacity.slots, self.n_outputs), arrays.vectors.dtype)
        made: list[LayerBuffers] = []
        read: list[StepArrays] = []
        features: NodeFeatures | None = None
        for i, (forward, mine) in enumerate(zip(self.passes.forward, buffers, strict=True)):
            read.append(self._with_pairs(i, weights, arrays))
            mine, outputs = forward(
                weights[i], read[i], features, outputs, mine, capacity=self.capacity
            )  # fmt: skip
            self.end("forward", outputs)
            features = self.ghosts.fill_features(mine.features)
            made.append(LayerBuffers(features, mine.saved))
            self.end("exchange")
        return outputs, made, read

    def _with_pairs(self, layer: int, weights: list[Any], arrays: StepArrays) -> StepArrays:
        """Return the arrays with what a layer computes of all pairs."""
        function = self.passes.of_pairs[layer]
        if function is None:
            return arrays
        return replace(arrays, of_pairs=function(weights[layer], arrays))

    def _backward(
        self, read: list[StepArrays], weights: list[Any], made: list[LayerBuffers],
        features: list[Any], gradients: Gradients, charge_adjoint: jax.Array | None,
    ) -> jax.Array:  # fmt: skip
        """Return dE/d vectors of all layers.

        Args:
            read, features: that each inner layer reads.
            gradients: of the last layer, or zeros.
        """
        for i in reversed(range(len(self.passes.backward))):
            above = self.ghosts.add_features(gradients.features)
            self.end("exchange")
            gradients = self.passes.backward[i](
                weights[i], read[i], features[i], made[i].saved, above, gradients.vectors,
                self.ghosts.zero, charge_adjoint, capacity=self.capacity,
            )  # fmt: skip
            self.end("backward", gradients.vectors)
        return gradients.vectors


def ignore_stage(stage: str, result: jax.Array | None = None) -> None:
    """Be the ``end`` of a sequence that is traced: no stage begins or ends then."""


def node_energies(model: LoweredModel, layout: StepLayout, outputs: jax.Array) -> np.ndarray:
    """Return the energies of own atoms, float64 [n_local], eV."""
    mask = layout.graph.energy_mask
    atoms = layout.atoms
    energies = np.empty(len(atoms.species))
    give_energies(
        atoms.order, atoms.slots, readable(outputs), atoms.species, model.energy_shifts,
        model.energy_scale, energies,
    )  # fmt: skip
    return energies if mask is None else np.where(mask, energies, 0.0)
