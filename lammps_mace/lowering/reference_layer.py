"""ReferenceLayer: a layer as the network itself defines it; it has every option, but is slow."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lammps_mace.engine.chunk import Chunk
from lammps_mace.engine.layer import Gradients, NodeFeatures, OfPairs, Results, Saved, Vjp
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.models.description import FirstFeatures, ModelDescription
from lammps_mace.models.network import NetworkEdges, NetworkLayer


def reference_layers(description: ModelDescription) -> list[ReferenceLayer]:
    """Return the layers of a model as its network defines them."""
    first, *others = description.network_layers()
    layers = [ReferenceLayer(first, description.dtype, description.first_features())]
    return layers + [ReferenceLayer(layer, description.dtype) for layer in others]


class ReferenceLayer:
    """See :class:`lammps_mace.engine.layer.Layer`; skip features are the node features.

    Args:
        layer: of the network.
        dtype: precision of the evaluation.
        first: what atoms of each species know and send; in the first layer.
    """

    def __init__(self, layer: NetworkLayer, dtype: str, first: FirstFeatures | None = None) -> None:
        self._layer = layer
        weights = {"layer": layer.parameters, "first": first}
        self.weights = jax.tree.map(lambda x: jnp.asarray(x, dtype), weights)
        self.skip_shape, self.sent_shape = layer.own_shape, layer.sent_shape
        self.saved_shapes: tuple[tuple[int, int], ...] = ()
        self.of_pairs: OfPairs = None
        self.in_registers = False

    def forward(
        self,
        weights: Any,
        arrays: StepArrays,
        chunk: Chunk,
        features: NodeFeatures | None,
        saved: Saved,
    ) -> tuple[Results, Saved]:
        """See the protocol."""
        vectors = chunk.pairs(arrays.vectors)
        return self._results(weights, arrays, chunk, vectors, *self._read(
            weights, arrays, chunk, features)), saved  # fmt: skip

    def vjp(
        self,
        weights: Any,
        arrays: StepArrays,
        chunk: Chunk,
        features: NodeFeatures | None,
        saved: Saved,
    ) -> tuple[Results, Vjp]:
        """See the protocol."""

        def function(vectors: jax.Array, own: jax.Array, sent: jax.Array) -> Results:
            return self._results(weights, arrays, chunk, vectors, own, sent)

        arguments = chunk.pairs(arrays.vectors), *self._read(weights, arrays, chunk, features)
        results, pull_function = jax.vjp(function, *arguments)

        def pull_back(adjoint: Results, gradients: Gradients) -> Gradients:
            return _accumulate(gradients, arrays, chunk, pull_function(adjoint))

        return results, pull_back

    def _read(
        self, weights: Any, arrays: StepArrays, chunk: Chunk, features: NodeFeatures | None
    ) -> tuple[jax.Array, jax.Array]:
        """Return the features of a chunk's atoms and what the senders of its pairs sent."""
        if features is not None:
            return chunk.atoms(features.skip), features.sent[chunk.pairs(arrays.senders)]
        own, sent = weights["first"]
        rows = jnp.broadcast_to(own[chunk.species], (chunk.n_slots, *own.shape[1:]))
        return rows, sent[chunk.pairs(arrays.sender_species)]

    def _results(
        self, weights: Any, arrays: StepArrays, chunk: Chunk,
        vectors: jax.Array, own: jax.Array, sent: jax.Array,
    ) -> Results:  # fmt: skip
        species = jnp.broadcast_to(chunk.species, (chunk.n_slots,))
        receivers = chunk.receivers()
        edges = NetworkEdges(
            vectors, receivers, chunk.pair_mask(),
            chunk.pairs(arrays.sender_species), species[receivers],
        )  # fmt: skip
        return Results(*self._layer.function(weights["layer"], own, sent, species, edges))


def _accumulate(
    gradients: Gradients, arrays: StepArrays, chunk: Chunk, pulled: tuple[jax.Array, ...]
) -> Gradients:
    vectors, own, sent = pulled
    # The arrays go on with pairs of the next chunk, which must not be added twice.
    mask = chunk.pair_mask()
    summed = chunk.add_pairs(gradients.vectors, jnp.where(mask[:, None], vectors, 0.0))
    if gradients.features is None:
        return Gradients(summed, None)
    sent = jnp.where(mask[:, None, None], sent, 0.0)
    sent = gradients.features.sent.at[chunk.pairs(arrays.senders)].add(sent)
    return Gradients(summed, NodeFeatures(chunk.put_atoms(gradients.features.skip, own), sent))
