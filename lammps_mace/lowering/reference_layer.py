"""PlainLayer: a layer as the network itself defines it; runs every option, at a price."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lammps_mace.engine.chunk import Chunk
from lammps_mace.engine.layer import Gradients, NodeFeatures, Results, Saved, Vjp
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.graph import Edges, Globals, Graph, Nodes
from lammps_mace.modelfile import Model
from lammps_mace.models.mlip.embedding import MaceEmbeddingBlock, charge_index
from lammps_mace.models.mlip.interaction import EdgeInputs
from lammps_mace.models.mlip.layer import MaceLayer
from lammps_mace.models.mlip.shapes import num_species


class PlainLayer:
    """See :class:`lammps_mace.engine.layer.Layer`; skip features are the node features."""

    def __init__(self, model: Model, index: int) -> None:
        config, info = model.config, model.dataset_info
        self._model = model
        self._index = index
        self._embedding = MaceEmbeddingBlock(config, info)
        self._layer = MaceLayer(config, info, index)
        self._next = None if self._layer.last else MaceLayer(config, info, index + 1)
        # Several sets of E0 may share one readout.
        self._readout = model.head if config.num_readout_heads > 1 else 0
        params = jax.tree.map(lambda x: jnp.asarray(x, model.dtype), dict(model.params))
        self.weights = {
            name: params[name] for name in (f"layers_{index}", f"layers_{index + 1}")
            if name in params
        }  # fmt: skip
        if index == 0:
            self.weights["first"] = first_features(model)
        shape = (self._layer.target_irreps.dim, config.num_channels)
        self.skip_shape = self.sent_shape = None if self._layer.last else shape
        self.saved_shapes: tuple[tuple[int, int], ...] = ()

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

        def function(vectors: jax.Array, latent: jax.Array, sent: jax.Array) -> Results:
            return self._results(weights, arrays, chunk, vectors, latent, sent)

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
        latent, sent = weights["first"]
        own = jnp.broadcast_to(latent[chunk.species], (chunk.n_slots, *latent.shape[1:]))
        return own, sent[chunk.pairs(arrays.sender_species)]

    def _results(
        self, weights: Any, arrays: StepArrays, chunk: Chunk,
        vectors: jax.Array, latent: jax.Array, sent: jax.Array,
    ) -> Results:  # fmt: skip
        radial, spherical = self._embedding.apply({}, vectors, method="embed_vectors")
        species = jnp.broadcast_to(chunk.species, (chunk.n_slots,))
        receivers = chunk.receivers()
        edges = EdgeInputs(
            radial, spherical, receivers, chunk.pair_mask(),
            chunk.pairs(arrays.sender_species), species[receivers],
        )  # fmt: skip
        new, outputs = self._layer.apply(
            {"params": weights[f"layers_{self._index}"]},
            latent, sent, species, edges, method="update",
        )  # fmt: skip
        outputs = outputs[:, self._readout]
        if self._next is None:
            return Results(None, None, outputs)
        scope = {"params": weights[f"layers_{self._index + 1}"]}
        return Results(new, self._next.apply(scope, new, method="send"), outputs)


def _accumulate(
    gradients: Gradients, arrays: StepArrays, chunk: Chunk, pulled: tuple[jax.Array, ...]
) -> Gradients:
    vectors, latent, sent = pulled
    # Behind the pairs of the chunk are those of the next: theirs must not be added twice.
    mask = chunk.pair_mask()
    summed = chunk.add_pairs(gradients.vectors, jnp.where(mask[:, None], vectors, 0.0))
    if gradients.features is None:
        return Gradients(summed, None)
    sent = jnp.where(mask[:, None, None], sent, 0.0)
    sent = gradients.features.sent.at[chunk.pairs(arrays.senders)].add(sent)
    return Gradients(summed, NodeFeatures(chunk.put_atoms(gradients.features.skip, latent), sent))


def first_features(model: Model) -> tuple[jax.Array, jax.Array]:
    """Return what an atom of each species knows, and sends, before the first layer.

    Returns:
        two arrays [n_species, 1, channels].
    """
    config, info = model.config, model.dataset_info
    params = jax.tree.map(lambda x: jnp.asarray(x, model.dtype), dict(model.params))
    rows = jnp.arange(num_species(config, info), dtype=jnp.int32)

    def embed() -> tuple[jax.Array, jax.Array]:
        latent = MaceEmbeddingBlock(config, info).apply(
            {"params": params["embedding_block"]}, rows, _charge_rows(model, rows),
            method="embed_species",
        )  # fmt: skip
        layer = MaceLayer(config, info, 0)
        return latent, layer.apply({"params": params["layers_0"]}, latent, method="send")

    return jax.jit(embed)()


def _charge_rows(model: Model, rows: jax.Array) -> jax.Array | None:
    if not model.config.use_total_charge_embedding:
        return None
    graph = Graph(
        Nodes(rows), Edges(), rows, rows, n_node=jnp.asarray([rows.shape[0]], jnp.int32),
        globals=Globals(charge=jnp.asarray([model.total_charge], model.dtype)),
    )  # fmt: skip
    return charge_index(model.config, model.dataset_info, graph)
