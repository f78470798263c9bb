"""PairEnergyLayer: a layer to whose outputs an energy of each pair is added."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from lammps_mace.engine.chunk import Chunk
from lammps_mace.engine.layer import Gradients, Layer, NodeFeatures, OfPairs, Results, Saved, Vjp
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.lowering.neighbour_sums import neighbour_sums
from lammps_mace.models.description import ModelDescription


class PairEnergyLayer:
    """See :class:`lammps_mace.engine.layer.Layer`; the formula is evaluated, never a spline.

    Args:
        layer: computes everything but the energy of the pairs.
        description: of the whole model, with a ``pair_energy``.
    """

    def __init__(self, layer: Layer, description: ModelDescription) -> None:
        energy = description.pair_energy
        assert energy is not None
        self._layer, self._function = layer, energy.function
        self._cutoff = description.cutoff
        # The engine multiplies all outputs by the scale.
        self._factor = 1.0 if energy.scaled else 1.0 / description.scale
        pairs = jax.tree.map(lambda x: jnp.asarray(x, description.dtype), energy.parameters)
        self.weights = {"layer": layer.weights, "pairs": pairs}
        self.skip_shape, self.sent_shape = layer.skip_shape, layer.sent_shape
        self.saved_shapes, self.in_registers = layer.saved_shapes, layer.in_registers
        inner = layer.of_pairs
        self.of_pairs: OfPairs = inner and (lambda weights, arrays: inner(weights["layer"], arrays))

    def forward(
        self,
        weights: Any,
        arrays: StepArrays,
        chunk: Chunk,
        features: NodeFeatures | None,
        saved: Saved,
    ) -> tuple[Results, Saved]:
        """See the protocol."""
        results, saved = self._layer.forward(weights["layer"], arrays, chunk, features, saved)
        energies = self._energies(weights["pairs"], arrays, chunk, chunk.pairs(arrays.vectors))
        return _added(results, energies), saved

    def vjp(
        self,
        weights: Any,
        arrays: StepArrays,
        chunk: Chunk,
        features: NodeFeatures | None,
        saved: Saved,
    ) -> tuple[Results, Vjp]:
        """See the protocol."""
        results, pull_layer = self._layer.vjp(weights["layer"], arrays, chunk, features, saved)
        energies, pull_energies = jax.vjp(
            partial(self._energies, weights["pairs"], arrays, chunk), chunk.pairs(arrays.vectors)
        )

        def pull_back(adjoint: Results, gradients: Gradients) -> Gradients:
            gradients = pull_layer(adjoint, gradients)
            (share,) = pull_energies(adjoint.outputs[:, 0])
            return gradients._replace(vectors=chunk.add_pairs(gradients.vectors, share))

        return _added(results, energies), pull_back

    def _energies(
        self, parameters: Any, arrays: StepArrays, chunk: Chunk, vectors: jax.Array
    ) -> jax.Array:
        function = partial(self._function, parameters)
        return self._factor * neighbour_sums(function, self._cutoff, arrays, chunk, vectors)


def _added(results: Results, energies: jax.Array) -> Results:
    return results._replace(outputs=results.outputs.at[:, 0].add(energies))
