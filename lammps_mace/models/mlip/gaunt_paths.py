"""Gaunt messages as sums over paths: those to one irrep share radial function and map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import e3nn_jax as e3nn
import numpy as np

from lammps_mace.models.blocks.paths import TensorProductPath
from lammps_mace.models.blocks.quadrature import means_of_three
from lammps_mace.models.description import LinearMap
from lammps_mace.models.mlip.gaunt import gaunt_messages
from lammps_mace.models.mlip.weights import between, matrices


@lru_cache
def gaunt_paths(
    source: e3nn.Irreps, l_max: int, target: e3nn.Irreps
) -> tuple[TensorProductPath, ...]:
    """Return the products of which Gaunt messages are sums, by target, then source and degree."""
    harmonics = e3nn.Irreps.spherical_harmonics(l_max)
    messages = gaunt_messages(source, harmonics, target)
    means = means_of_three(max(source.ls), l_max, max(messages.ls))
    return tuple(
        TensorProductPath(one, edge.l, out, means[np.ix_(*map(_places, (one, edge, out)))])
        for _, out in messages
        for _, one in source
        for _, edge in harmonics
        if out in one * edge
    )


def _places(irrep: e3nn.Irrep) -> np.ndarray:
    return np.arange(irrep.l**2, (irrep.l + 1) ** 2)


def gaunt_radial_matrix(
    matrix: np.ndarray, params: Mapping[str, Any], paths: Sequence[TensorProductPath], l_max: int
) -> np.ndarray:
    """Return the last map of the radial network, [k, paths * channels].

    Args:
        matrix: to a weight for each irrep of the messages, [k, irreps * channels].
        params: of the map that gives channels to the harmonics.
    """
    irreps = list(dict.fromkeys(path.target for path in paths))
    of_irreps = matrix.reshape(len(matrix), len(irreps), -1)
    harmonics = [irrep for _, irrep in e3nn.Irreps.spherical_harmonics(l_max)]
    channels = dict.fromkeys(harmonics, of_irreps.shape[2])
    of_harmonics = matrices(params, dict.fromkeys(harmonics, 1), channels)
    of_paths = [
        of_irreps[:, irreps.index(path.target)] * of_harmonics[str(harmonics[path.degree])][0]
        for path in paths
    ]
    return np.concatenate(of_paths, axis=1)


def gaunt_mixing(
    params: Mapping[str, Any],
    paths: Sequence[TensorProductPath],
    target: e3nn.Irreps,
    channels: int,
) -> LinearMap:
    """Return the map after the sums, irrep -> [1, paths * channels, channels]."""
    ends = [path.target for path in paths]
    messages = e3nn.Irreps([(1, irrep) for irrep in dict.fromkeys(ends)])
    found = between(params, messages, target, channels)
    return {
        irrep: np.tile(matrix, (1, sum(str(end) == irrep for end in ends), 1))
        for irrep, matrix in found.items()
    }
