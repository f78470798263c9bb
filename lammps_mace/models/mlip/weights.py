"""The parameters of mlip layers as the maps and polynomials of a description, in float64."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import e3nn_jax as e3nn
import numpy as np

from lammps_mace.models.blocks.linear import irrep_order, weight_names
from lammps_mace.models.blocks.paths import TensorProductPath
from lammps_mace.models.blocks.polynomial import Polynomial
from lammps_mace.models.mlip.contraction import contraction_polynomial
from lammps_mace.models.mlip.contraction_e3j import (
    columns_by_power,
    e3j_basis,
    e3j_polynomial,
    power_key,
)
from lammps_mace.models.mlip.layer import MaceLayer

_Matrices = dict[str, np.ndarray]  # irrep -> [1 or n_species, channels in, channels out]


def between(
    params: Mapping[str, Any], source: e3nn.Irreps, target: e3nn.Irreps, channels: int
) -> _Matrices:
    """Return the matrices of a map between irreps of equally many channels each."""
    return matrices(params, *({ir: channels for _, ir in irreps} for irreps in (source, target)))


def mixing(
    params: Mapping[str, Any],
    paths: Sequence[TensorProductPath],
    target: e3nn.Irreps,
    channels: int,
) -> _Matrices:
    """Return the matrices of the map after the sums, irrep -> [1, paths * channels, channels].

    The network has the path index fastest, a description the channel.
    """
    n_paths = {ir: sum(path.target == ir for path in paths) for _, ir in target}
    source = {ir: channels * n for ir, n in n_paths.items() if n}
    found = matrices(params, source, {ir: channels for _, ir in target})
    return {
        irrep: matrix.reshape(channels, -1, channels).swapaxes(0, 1).reshape(1, -1, channels)
        for irrep, matrix in found.items()
    }


def matrices(
    params: Mapping[str, Any], source: dict[e3nn.Irrep, int], target: dict[e3nn.Irrep, int]
) -> _Matrices:
    """Return the scaled matrices of the irreps that both have; see models.blocks.linear.Linear."""
    out = {}
    for irrep, name in weight_names(source, target).items():
        if irrep in source and irrep in target:
            weight = np.asarray(params[name], np.float64)
            matrix = np.swapaxes(weight, -1, -2) / math.sqrt(source[irrep])
            out[str(irrep)] = matrix.reshape(-1, *matrix.shape[-2:])
    return out


def contraction_weights(
    layer: MaceLayer, params: Mapping[str, Any]
) -> tuple[Polynomial, dict[str, np.ndarray]]:
    """Return a contraction's polynomial and its weights, key -> [n_species, n, channels]."""
    config = layer.config
    source, target = e3nn.Irreps(layer.message_irreps), e3nn.Irreps(layer.target_irreps)
    if config.symmetric_contraction_backend != "e3j":
        symmetric = config.symmetric_contraction_backend == "e3nn_symmetric"
        polynomial = contraction_polynomial(source, target, config.correlation, symmetric)
        return polynomial, {k: np.asarray(v, np.float64) for k, v in params.items()}
    basis = e3j_basis(source, target, config.correlation)
    sizes = {e3nn.Irrep(*paths.irrep): paths.rows.shape[0] for paths in basis.targets}
    reached = {ir: sizes[ir] for ir in sorted(sizes, key=irrep_order) if sizes[ir]}
    names = weight_names(reached, dict.fromkeys(sizes, 1))
    weights = {}
    for paths in basis.targets:
        irrep = e3nn.Irrep(*paths.irrep)
        if irrep not in reached:
            continue
        weight = np.asarray(params["LinearIndexwise_0"][names[irrep]], np.float64)[:, :, 0]
        for order, columns in enumerate(columns_by_power(basis, paths), start=1):
            weights[power_key(order, paths.irrep)] = weight.swapaxes(1, 2)[:, columns]
    return e3j_polynomial(source, target, config.correlation), weights
