"""The layers of a network of mace-torch as the library defines them, and their first features."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.models.blocks.linear import split
from lammps_mace.models.description import FirstFeatures
from lammps_mace.models.network import NetworkEdges, NetworkLayer, NetworkResults
from lammps_mace.models.torch.layer import TorchLayer
from lammps_mace.models.torch.model import TorchModel
from lammps_mace.models.torch.readout import layer_readout


def network_layers(model: TorchModel) -> list[NetworkLayer]:
    """Return the layers of a model."""
    layers = [TorchLayer(model.config, model.params, i) for i in range(len(model.config.layers))]
    return [
        _network_layer(model, layer, after)
        for layer, after in zip(layers, [*layers[1:], None], strict=True)
    ]


def _network_layer(model: TorchModel, layer: TorchLayer, after: TorchLayer | None) -> NetworkLayer:
    readout = layer_readout(model.config, model.params, layer.index, model.head)

    def function(
        parameters: Any, own: jax.Array, sent: jax.Array, species: jax.Array, edges: NetworkEdges
    ) -> NetworkResults:
        new = layer.update(parameters["layer"], own, sent, species, edges)
        outputs = readout.function(parameters["readout"], split(new, layer.target))
        if after is None:
            return NetworkResults(None, None, outputs)
        return NetworkResults(new, after.send(parameters["linear_up"], new), outputs)

    parameters = {
        "layer": layer.parameters(),
        "readout": readout.parameters,
        "linear_up": None if after is None else after.linear("linear_up"),
    }
    if after is None:
        return NetworkLayer(parameters, None, None, function)
    own_shape = layer.target.dim, model.config.channels
    sent_shape = after.sent.dim, after.settings.sent_channels
    return NetworkLayer(parameters, own_shape, sent_shape, function)


def embedded(model: TorchModel) -> np.ndarray:
    """Return the first features of an atom of each species, [n_species, channels].

    Total charge and spin are constants of a simulation, so they are embedded here.
    """
    features = np.asarray(model.params["node_embedding"], np.float64)
    if not model.config.embeddings:
        return features
    arrays = model.params["joint_embedding"]
    numbers = {"total_charge": model.total_charge or 0, "total_spin": model.total_spin or 0}
    rows = [
        np.asarray(arrays[e.quantity], np.float64)[numbers[e.quantity] + e.offset]
        for e in model.config.embeddings
    ]
    projected = np.concatenate(rows) @ np.asarray(arrays["project"], np.float64)
    return features + projected / (1.0 + np.exp(-projected))


def first_features(model: TorchModel) -> FirstFeatures:
    """Return the features of each species before the first layer, and what it sends."""
    own = embedded(model)[:, None]
    [matrix] = TorchLayer(model.config, model.params, 0).linear("linear_up").values()
    dtype = model.dtype
    return FirstFeatures(jnp.asarray(own, dtype), jnp.asarray(own @ matrix[0], dtype))


def atomic_energies(model: TorchModel) -> np.ndarray:
    """Return E0 of the head, plus the readout of the embedding, [n_species], eV."""
    energies = np.asarray(model.params["atomic_energies"], np.float64)[model.head]
    if not model.config.embedding_readout:
        return energies
    readout = np.asarray(model.params["embedding_readout"], np.float64)
    return energies + embedded(model) @ readout[:, model.head]
