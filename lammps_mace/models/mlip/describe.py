"""What an mlip network computes, as a description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import e3nn_jax as e3nn
import jax
import numpy as np

from lammps_mace.models.blocks.linear import Blocks
from lammps_mace.models.blocks.paths import TensorProductPath
from lammps_mace.models.description import (
    Contraction,
    FirstFeatures,
    LayerDescription,
    LinearMap,
    ModelDescription,
    RadialWeights,
    Readout,
    ScalarGate,
)
from lammps_mace.models.mlip.contraction_e3j import contraction_fits, e3j_basis
from lammps_mace.models.mlip.gaunt_contraction import (
    gaunt_contraction,
    gaunt_contraction_fits,
    gaunt_factors,
)
from lammps_mace.models.mlip.gaunt_paths import gaunt_mixing, gaunt_paths, gaunt_radial_matrix
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
    if all(map(_fits, layers)):
        return None
    backend = config.symmetric_contraction_backend
    return f"{backend} with l_max {config.l_max} and correlation {config.correlation}"


def _fits(layer: MaceLayer) -> bool:
    backend, correlation = layer.config.symmetric_contraction_backend, layer.config.correlation
    messages, target = e3nn.Irreps(layer.message_irreps), e3nn.Irreps(layer.target_irreps)
    if backend == "gaunt_tp":
        return gaunt_contraction_fits(max(messages.ls), max(target.ls), correlation)
    return backend != "e3j" or contraction_fits(e3j_basis(messages, target, correlation))


def _layer(model: MlipModel, layer: MaceLayer) -> LayerDescription:
    config, info = model.config, model.dataset_info
    channels, params = config.num_channels, model.params[f"layers_{layer.index}"]
    interaction, product = params["interaction_block"], params["expansion_block"]
    source, target = e3nn.Irreps(layer.source_irreps), e3nn.Irreps(layer.target_irreps)
    messages, skip = e3nn.Irreps(layer.message_irreps), None
    paths, radial, mixing = _sums(model, layer, interaction)
    contraction, factors = _contraction(layer, product["symmetric_contraction"])
    mix = [mixing]
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
        radial=radial,
        normalization=config.avg_num_neighbors or info.avg_num_neighbors,
        mix=(*mix, *factors),
        copies=config.correlation if factors else 1,
        contraction=contraction,
        product=between(product["linear_block"], target, target, channels),
        skip=skip,
        readout=_readout(model, layer, params["readout_block"]),
        scalar_gate=_scalar_gate(product) if config.gate_nodes else None,
        bound=config.soft_normalization,
    )


def _sums(
    model: MlipModel, layer: MaceLayer, params: Mapping[str, Any]
) -> tuple[tuple[TensorProductPath, ...], RadialWeights, LinearMap]:
    """Return the paths of the messages, their weights, and the map of their sums."""
    config, channels = model.config, model.config.num_channels
    source, messages = e3nn.Irreps(layer.source_irreps), e3nn.Irreps(layer.message_irreps)
    radial = radial_weights(config, model.dataset_info, params, model.dtype)
    if not config.use_gaunt_tp_message_passing:
        paths = message_paths(source, config.l_max, messages)
        return paths, radial, mixing(params["linear_out"], paths, messages, channels)
    paths = gaunt_paths(source, config.l_max, messages)
    matrix = gaunt_radial_matrix(radial.matrix, params["linear_proj"], paths, config.l_max)
    linear = gaunt_mixing(params["linear_out"], paths, messages, channels)
    return paths, replace(radial, matrix=matrix), linear


def _contraction(
    layer: MaceLayer, params: Mapping[str, Any]
) -> tuple[Contraction, tuple[LinearMap, ...]]:
    """Return the contraction and the maps that make its copies of the messages, if it has any."""
    config = layer.config
    if config.symmetric_contraction_backend != "gaunt_tp":
        return Contraction(*contraction_weights(layer, params)), ()
    messages, target = e3nn.Irreps(layer.message_irreps), e3nn.Irreps(layer.target_irreps)
    factors = gaunt_factors(params, messages, config.correlation, config.num_channels)
    return gaunt_contraction(params, messages, target, config.correlation), (factors,)


def _scalar_gate(params: Mapping[str, Any]) -> ScalarGate:
    names = "species_wise_gate_weights", "species_wise_gate_bias"
    return ScalarGate(*(np.asarray(params[name], np.float64) for name in names))


def _readout(model: MlipModel, layer: MaceLayer, params: Mapping[str, Any]) -> Readout:
    module, head = readout(model.config, layer.target_irreps, layer.last), readout_head(model)

    def function(parameters: Any, blocks: Blocks) -> jax.Array:
        return module.apply({"params": parameters}, blocks)[:, head]

    irreps = (ir for text in model.config.readout_irreps for _, ir in e3nn.Irreps(text))
    return Readout(function, params, frozenset(map(str, irreps)))
