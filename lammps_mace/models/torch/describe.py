"""Describes a network of mace-torch as the layers that lowering reads."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np

from lammps_mace.models.description import (
    Contraction,
    LayerDescription,
    LinearMap,
    MessageGate,
    ModelDescription,
    RadialWeights,
)
from lammps_mace.models.torch.layer import TorchLayer
from lammps_mace.models.torch.model import TorchModel
from lammps_mace.models.torch.network import atomic_energies, first_features, network_layers
from lammps_mace.models.torch.readout import layer_readout
from lammps_mace.models.torch.repulsion import pair_repulsion


def describe(model: TorchModel) -> ModelDescription:
    """Return the description of a model with the head, charge and spin that it selects."""
    config = model.config
    scale, shift = scale_and_shift(model)
    layers = [TorchLayer(config, model.params, i) for i in range(len(config.layers))]
    return ModelDescription(
        cutoff=config.cutoff_angstrom,
        dtype=model.dtype,
        scale=scale,
        shift=shift,
        atomic_energies=atomic_energies(model),
        first_features=lambda: first_features(model),
        layers=tuple(_layer(model, layer) for layer in layers),
        undescribed=None,
        network_layers=lambda: network_layers(model),
        pair_energy=pair_repulsion(config, model.params),
        exact_radial=model.exact_radial,
    )


def scale_and_shift(model: TorchModel) -> tuple[float, float]:
    """Return scale and shift of the head, eV."""
    if not model.config.scale_shift:
        return 1.0, 0.0
    scale, shift = (float(model.params[key][model.head]) for key in ("scale", "shift"))
    return scale, shift


def _layer(model: TorchModel, layer: TorchLayer) -> LayerDescription:
    kind = layer.settings.interaction
    radial, mix = _used_paths(layer)
    maps, skip = [mix], layer.linear("skip_tp")
    if not kind.has_skip:
        maps, skip = [mix, skip], {}
    return LayerDescription(
        source=layer.source,
        sent=None if layer.sent == layer.source else layer.sent,
        messages=layer.messages,
        target=layer.target,
        send=layer.linear("linear_up") if layer.index else None,
        paths=tuple(path for path in layer.paths if path.source in layer.sent),
        radial=radial,
        normalization=layer.normalization,
        mix=tuple(maps),
        message_gate=_gate(layer) if kind.is_non_linear else None,
        contraction=Contraction(*layer.contraction),
        product=layer.linear("product"),
        skip=skip or None,
        readout=layer_readout(model.config, model.params, layer.index, model.head),
    )


def _used_paths(layer: TorchLayer) -> tuple[RadialWeights, LinearMap]:
    """Return radial weights and the map of the sums without paths from irreps that are zero."""
    channels = layer.settings.sent_channels
    used = np.array([path.source in layer.sent for path in layer.paths])
    matrix = layer.radial.matrix[:, np.repeat(used, channels)]
    mix = {}
    for irrep, rows in layer.linear("linear").items():
        of_irrep = np.array([str(path.target) == irrep for path in layer.paths])
        mix[irrep] = rows[:, np.repeat(used[of_irrep], channels)]
    return replace(layer.radial, matrix=matrix), {ir: rows for ir, rows in mix.items() if rows.size}


def _gate(layer: TorchLayer) -> MessageGate:
    return MessageGate(
        own=layer.linear("linear_res"),
        n_scalars=layer.config.channels,
        scalars=jax.nn.silu,
        gates=jax.nn.sigmoid,
        after=layer.linear("linear_2"),
    )
