"""Makes linear maps and polynomials of the arrays of a layer of mace-torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lammps_mace.models.blocks.irreps import name, parse_irrep_list
from lammps_mace.models.blocks.polynomial import Polynomial, from_tensors
from lammps_mace.models.torch.config import LayerConfig

LinearMap = dict[str, np.ndarray]  # irrep -> [1 or n_species, channels in, channels out]


def linear_map(arrays: Mapping[str, Any]) -> LinearMap:
    """Return matrices, [in, out] or one per species, as a linear map in float64."""
    found = {irrep: np.asarray(matrix, np.float64) for irrep, matrix in arrays.items()}
    return {irrep: m[None] if m.ndim == 2 else m for irrep, m in found.items()}


def contraction(
    layer: LayerConfig, params: Mapping[str, Any]
) -> tuple[Polynomial, dict[str, np.ndarray]]:
    """Return the contraction as a polynomial and its weights, key -> [n_species or 1, n, channels].

    The coupling tensors are those of the file, in whatever basis they are.
    """
    components: list[dict[str, np.ndarray]] = []
    weights: dict[str, np.ndarray] = {}
    dim = sum(2 * degree + 1 for degree, _ in parse_irrep_list(layer.messages))
    for irrep in map(name, parse_irrep_list(layer.target)):
        arrays = params["contraction"][irrep]
        orders = range(1, layer.correlation + 1)
        tensors = {f"{irrep} {n}": np.asarray(arrays[f"U{n}"], np.float64) for n in orders}
        weights.update(
            (f"{irrep} {n}", np.asarray(arrays[f"weights{n}"], np.float64)) for n in orders
        )
        rows = len(arrays["U1"])
        components += [{key: tensor[m] for key, tensor in tensors.items()} for m in range(rows)]
    return from_tensors(dim, components), weights
