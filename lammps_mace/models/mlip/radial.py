"""The radial weights of an mlip layer, as a description."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from lammps_mace.models.blocks.activation import activation, second_moment_norm
from lammps_mace.models.description import BesselInputs, RadialInputs, RadialNetwork, RadialWeights
from lammps_mace.models.mlip.config import MaceConfig, RadialEnvelope
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.mlip.embedding import ENVELOPE_POWER, embedding_factor, radial_embedding
from lammps_mace.models.options import Activation


def radial_weights(
    config: MaceConfig, info: DatasetInfo, params: Mapping[str, Any], dtype: str
) -> RadialWeights:
    """Return the radial weights of a layer.

    Args:
        params: of the layer's interaction.
        dtype: of the model; its activations have the normalisation of that precision, see
            :func:`lammps_mace.models.blocks.activation.second_moment_norm`.
    """
    name = Activation(config.radial_mlp_activation)
    act, norm = activation(name), second_moment_norm(name, dtype)
    *hidden, last = _kernels(params["radial_mlp"])

    def functions(kernels: Any, distances: jax.Array, *species: jax.Array) -> jax.Array:
        x = radial_embedding(config, info, distances)
        for kernel in kernels:
            x = act(x @ kernel) / norm
        return x

    network = None
    if hidden and name in (Activation.SILU, Activation.SWISH):
        first, *others = hidden
        matrices = first, *(kernel / norm for kernel in others)
        network = RadialNetwork(_inputs(config, info), matrices, 1.0 / norm)
    settings = config.model_dump(mode="json"), info.model_dump(mode="json"), dtype
    return RadialWeights(
        functions, hidden, last,
        identity=f"mlip {settings!r}",
        factor=np.asarray(params["species_pair_scale"], np.float64)
        if config.species_pair_scaling
        else None,
        # Nothing else here has a value for zero input.
        zero_at_cutoff=name != Activation.SIGMOID,
        network=network,
    )  # fmt: skip


def _inputs(config: MaceConfig, info: DatasetInfo) -> RadialInputs | BesselInputs:
    """Return the radial embedding, as kernels know it if they do."""
    cutoff, factor = info.graph_cutoff_angstrom, embedding_factor(config, info)
    if config.radial_envelope == RadialEnvelope.POLYNOMIAL:
        roots = np.pi / cutoff * np.arange(1, config.num_rbf + 1)
        return BesselInputs(roots, cutoff, ENVELOPE_POWER, factor * math.sqrt(2.0 / cutoff))

    def inputs(kernels: Any, distances: jax.Array, *species: jax.Array) -> tuple[jax.Array, None]:
        return radial_embedding(config, info, distances), None

    return inputs


def _kernels(params: Mapping[str, Any]) -> list[np.ndarray]:
    """Return the matrices of the network, scaled to be applied as they are."""
    kernels = [np.asarray(params[f"layers_{i}"]["kernel"], np.float64) for i in range(len(params))]
    return [kernel / math.sqrt(kernel.shape[0]) for kernel in kernels]
