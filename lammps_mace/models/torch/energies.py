"""The energies of a whole network of mace-torch, without an exchange between its layers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lammps_mace.graph import Graph
from lammps_mace.models.blocks.norms import safe_norm
from lammps_mace.models.network import NetworkEdges
from lammps_mace.models.network_energies import NetworkEnergies
from lammps_mace.models.torch.describe import scale_and_shift
from lammps_mace.models.torch.model import TorchModel
from lammps_mace.models.torch.network import atomic_energies, first_features, network_layers
from lammps_mace.models.torch.repulsion import pair_repulsion


def network_energies(model: TorchModel) -> NetworkEnergies:
    """Return the network with the head, charge and spin that a model selects."""
    layers, repulsion = network_layers(model), pair_repulsion(model.config, model.params)
    scale, shift = scale_and_shift(model)
    parameters = {
        "first": first_features(model),
        "layers": [layer.parameters for layer in layers],
        "repulsion": None if repulsion is None else repulsion.parameters,
    }

    def function(parameters: Any, graph: Graph) -> tuple[jax.Array, None]:
        species, senders, receivers = graph.nodes.species, graph.senders, graph.receivers
        vectors = graph.edge_vectors()
        mask = jnp.ones(len(vectors), bool)
        edges = NetworkEdges(vectors, receivers, mask, species[senders], species[receivers])
        own, sent = (features[species] for features in parameters["first"])
        energies = jnp.zeros(len(species), vectors.dtype)
        for layer, arrays in zip(layers, parameters["layers"], strict=True):
            own, sent, outputs = layer.function(arrays, own, sent[senders], species, edges)
            energies = energies + scale * outputs[:, 0]
        if repulsion is None:
            return energies, None
        pairs = repulsion.function(
            parameters["repulsion"], safe_norm(vectors), species[senders], species[receivers]
        )
        pairs = jax.ops.segment_sum(pairs, receivers, len(species))
        return energies + (scale * pairs if repulsion.scaled else pairs), None

    return NetworkEnergies(parameters, atomic_energies(model) + shift, function)
