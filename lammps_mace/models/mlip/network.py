"""The mlip network in pieces: its layers as it defines them, and what they start from."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lammps_mace.graph import Edges, Globals, Graph, Nodes
from lammps_mace.models.mlip.embedding import MaceEmbeddingBlock, charge_index
from lammps_mace.models.mlip.interaction import EdgeInputs
from lammps_mace.models.mlip.layer import MaceLayer
from lammps_mace.models.mlip.model import MlipModel
from lammps_mace.models.mlip.shapes import num_species
from lammps_mace.models.network import NetworkEdges, NetworkLayer, NetworkResults


def network_layers(model: MlipModel) -> list[NetworkLayer]:
    """Return the layers of a model."""
    return [_network_layer(model, i) for i in range(model.config.num_layers)]


def readout_head(model: MlipModel) -> int:
    """Return which readout the head of a model uses: several sets of E0 may share one."""
    return model.head if model.config.num_readout_heads > 1 else 0


def _network_layer(model: MlipModel, index: int) -> NetworkLayer:
    config, info = model.config, model.dataset_info
    embedding, head = MaceEmbeddingBlock(config, info), readout_head(model)
    layer = MaceLayer(config, info, index)
    after = None if layer.last else MaceLayer(config, info, index + 1)

    def function(
        parameters: Any, own: jax.Array, sent: jax.Array, species: jax.Array, edges: NetworkEdges
    ) -> NetworkResults:
        radial, spherical = embedding.apply({}, edges.vectors, method="embed_vectors")
        inputs = EdgeInputs(
            radial, spherical, edges.receivers, edges.mask,
            edges.sender_species, edges.receiver_species,
        )  # fmt: skip
        scope = {"params": parameters[0]}
        new, outputs = layer.apply(scope, own, sent, species, inputs, method="update")
        outputs = outputs[:, head]
        if after is None:
            return NetworkResults(None, None, outputs)
        sent = after.apply({"params": parameters[1]}, new, method="send")
        return NetworkResults(new, sent, outputs)

    params = [model.params[f"layers_{i}"] for i in (index, index + 1) if i < config.num_layers]
    shape = None if layer.last else (layer.target_irreps.dim, config.num_channels)
    return NetworkLayer(params, shape, shape, function)


def first_features(model: MlipModel) -> tuple[jax.Array, jax.Array]:
    """Return what an atom of each species knows, and sends, before the first layer.

    Returns:
        two arrays [n_species, 1, channels].
    """
    config, info = model.config, model.dataset_info
    params = jax.tree.map(lambda x: jnp.asarray(x, model.dtype), dict(model.params))
    rows = jnp.arange(num_species(config, info), dtype=jnp.int32)

    def embed() -> tuple[jax.Array, jax.Array]:
        own = MaceEmbeddingBlock(config, info).apply(
            {"params": params["embedding_block"]}, rows, _charge_rows(model, rows),
            method="embed_species",
        )  # fmt: skip
        layer = MaceLayer(config, info, 0)
        return own, layer.apply({"params": params["layers_0"]}, own, method="send")

    return jax.jit(embed)()


def _charge_rows(model: MlipModel, rows: jax.Array) -> jax.Array | None:
    if not model.config.use_total_charge_embedding:
        return None
    graph = Graph(
        Nodes(rows), Edges(), rows, rows, n_node=jnp.asarray([rows.shape[0]], jnp.int32),
        globals=Globals(charge=jnp.asarray([model.total_charge], model.dtype)),
    )  # fmt: skip
    return charge_index(model.config, model.dataset_info, graph)
