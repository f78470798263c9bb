"""What an mlip network computes, as a description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import e3nn_jax as e3nn
import jax
import numpy as np

from lammps_mace.models.blocks.linear import Blocks
from lammps_mace.models.description import (
    Contraction,
    FirstFeatures,
    LayerDescription,
    ModelDescription,
    Readout,
    ScalarGate,
)
from lammps_mace.models.mlip.contraction_e3j import contraction_fits, e3j_basis
from lammps_mace.models.mlip.interaction import message_paths
from lammps_mace.models.mlip.layer import MaceLayer, readout
from lammps_mace.models.mlip.mace import atomic_energy_table
from lammps_mace.models.mlip.model import MlipModel
from lammps_mace.models.mlip.network import first_features, network_layers, readout_head
from lammps_mace.models.mlip.partial_charges import partial_charges
from lammps_mace.models.mlip.radial import radial_weights
from lammps_mace.models.mlip.weights import between, contraction_weights, mixing


def describe(model: MlipModel) -> ModelDescription:
    """Return the description of a model with the head that it selects.

    Raises:
        ValueError: the Coulomb sum has no cutoff.
    """
    config, info = model.config, model.dataset_info
    layers = [MaceLayer(config, info, i) for i in range(config.num_layers)]
    reason = _undescribed(layers)
    energies = np.zeros(len(info.atomic_numbers))
    if config.add_atomic_energies:
        energies += np.array(atomic_energy_table(info, model.head))
    return ModelDescription(
        cutoff=info.graph_cutoff_angstrom,
        dtype=model.dtype,
        scale=float(info.scaling_stdev),
        shift=float(info.scaling_mean),
        atomic_energies=energies,
        first_features=lambda: FirstFeatures(*first_features(model)),
        layers=() if reason else tuple(_layer(model, layer) for layer in layers),
        undescribed=reason,
        network_layers=lambda: network_layers(model),
        charges=partial_charges(model),
        deterministic_sums=config.deterministic_scatter_ops,
        exact_radial=model.exact_radial,
    )


def _undescribed(layers: list[MaceLayer]) -> str | None:
    """Return the option of which descriptions know nothing, None if there is none."""
    config = layers[0].config
    if config.use_gaunt_tp_message_passing:
        return "use_gaunt_tp_message_passing"
    if config.symmetric_contraction_backend == "gaunt_tp":
        return "symmetric_contraction_backend gaunt_tp"
    if config.symmetric_contraction_backend == "e3j" and not all(map(_fits, layers)):
        return f"l_max {config.l_max} with correlation {config.correlation}"
    return None


def _fits(layer: MaceLayer) -> bool:
    irreps = e3nn.Irreps(layer.message_irreps), e3nn.Irreps(layer.target_irreps)
    return contraction_fits(e3j_basis(*irreps, layer.config.correlation))


def _layer(model: MlipModel, layer: MaceLayer) -> LayerDescription:
    config, info = model.config, model.dataset_info
    channels, params = config.num_channels, model.params[f"layers_{layer.index}"]
    interaction, product = params["interaction_block"], params["expansion_block"]
    source, target = e3nn.Irreps(layer.source_irreps), e3nn.Irreps(layer.target_irreps)
    messages = e3nn.Irreps(layer.message_irreps)
    paths = message_paths(source, config.l_max, messages)
    mix, skip = [mixing(interaction["linear_out"], paths, messages, channels)], None
    if layer.has_residual:
        skip = between(params["residual_block"], source, target, channels)
    else:
        mix.append(between(params["linear_by_species_block"], messages, messages, channels))
    return LayerDescription(
        source=source,
        messages=messages,
        target=target,
        send=between(interaction["linear_in"], source, source, channels) if layer.index else None,
        paths=paths,
        radial=radial_weights(config, info, interaction, model.dtype),
        normalization=config.avg_num_neighbors or info.avg_num_neighbors,
        mix=tuple(mix),
        contraction=Contraction(*contraction_weights(layer, product["symmetric_contraction"])),
        product=between(product["linear_block"], target, target, channels),
        skip=skip,
        readout=_readout(model, layer, params["readout_block"]),
        scalar_gate=_scalar_gate(product) if config.gate_nodes else None,
        bound=config.soft_normalization,
    )


def _scalar_gate(params: Mapping[str, Any]) -> ScalarGate:
    names = "species_wise_gate_weights", "species_wise_gate_bias"
    return ScalarGate(*(np.asarray(params[name], np.float64) for name in names))


def _readout(model: MlipModel, layer: MaceLayer, params: Mapping[str, Any]) -> Readout:
    module, head = readout(model.config, layer.target_irreps, layer.last), readout_head(model)

    def function(parameters: Any, blocks: Blocks) -> jax.Array:
        return module.apply({"params": parameters}, blocks)[:, head]

    irreps = (ir for text in model.config.readout_irreps for _, ir in e3nn.Irreps(text))
    return Readout(function, params, frozenset(map(str, irreps)))
