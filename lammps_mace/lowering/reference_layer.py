"""PlainLayer: a layer as the network itself defines it; runs every option, at a price."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lammps_mace.engine.chunks import Chunk, Inputs
from lammps_mace.engine.layer import Memo, Pull, Results, State, Sums
from lammps_mace.graph import Edges, Globals, Graph, Nodes
from lammps_mace.modelfile import Model
from lammps_mace.models.mlip.embedding import MaceEmbeddingBlock, charge_index, num_species
from lammps_mace.models.mlip.interaction import EdgeInputs
from lammps_mace.models.mlip.layer import MaceLayer


class PlainLayer:
    """See :class:`lammps_mace.engine.layer.Layer`; the state keeps the node features."""

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
        self.kept_shape = self.sent_shape = None if self._layer.last else shape
        self.memo_shapes: tuple[tuple[int, int], ...] = ()

    def forward(
        self, weights: Any, inputs: Inputs, chunk: Chunk, state: State | None, memo: Memo
    ) -> tuple[Results, Memo]:
        """See the protocol."""
        vectors = chunk.pairs(inputs.vectors)
        return self._results(weights, inputs, chunk, vectors, *self._read(
            weights, inputs, chunk, state)), memo  # fmt: skip

    def linearize(
        self, weights: Any, inputs: Inputs, chunk: Chunk, state: State | None, memo: Memo
    ) -> tuple[Results, Pull]:
        """See the protocol."""

        def function(vectors: jax.Array, latent: jax.Array, sent: jax.Array) -> Results:
            return self._results(weights, inputs, chunk, vectors, latent, sent)

        arguments = chunk.pairs(inputs.vectors), *self._read(weights, inputs, chunk, state)
        results, pull_back = jax.vjp(function, *arguments)

        def pull(adjoint: Results, sums: Sums) -> Sums:
            return _accumulate(sums, inputs, chunk, pull_back(adjoint))

        return results, pull

    def _read(
        self, weights: Any, inputs: Inputs, chunk: Chunk, state: State | None
    ) -> tuple[jax.Array, jax.Array]:
        """Return the features of a chunk's atoms and what the senders of its pairs sent."""
        if state is not None:
            return chunk.atoms(state.kept), state.sent[chunk.pairs(inputs.senders)]
        latent, sent = weights["first"]
        own = jnp.broadcast_to(latent[chunk.species], (chunk.n_slots, *latent.shape[1:]))
        return own, sent[chunk.pairs(inputs.sender_species)]

    def _results(
        self, weights: Any, inputs: Inputs, chunk: Chunk,
        vectors: jax.Array, latent: jax.Array, sent: jax.Array,
    ) -> Results:  # fmt: skip
        radial, spherical = self._embedding.apply({}, vectors, method="embed_vectors")
        species = jnp.broadcast_to(chunk.species, (chunk.n_slots,))
        receivers = chunk.receivers()
        edges = EdgeInputs(
            radial, spherical, receivers, chunk.pair_mask(),
            chunk.pairs(inputs.sender_species), species[receivers],
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


def _accumulate(sums: Sums, inputs: Inputs, chunk: Chunk, pulled: tuple[jax.Array, ...]) -> Sums:
    vectors, latent, sent = pulled
    # The room of a chunk overlaps the pairs of the next: theirs must not be added twice.
    mask = chunk.pair_mask()
    gradient = chunk.add_pairs(sums.gradient, jnp.where(mask[:, None], vectors, 0.0))
    if sums.adjoint is None:
        return Sums(gradient, None)
    sent = jnp.where(mask[:, None, None], sent, 0.0)
    sent = sums.adjoint.sent.at[chunk.pairs(inputs.senders)].add(sent)
    return Sums(gradient, State(chunk.put_atoms(sums.adjoint.kept, latent), sent))


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
