"""Radial networks: a basis of the distance, then layers of a matrix and silu; values and slopes.

The basis, if it is one that the kernels know, is that of Gasteiger et al., ICLR 2020
(arXiv:2003.03123): with x = r / cutoff, zero for x >= 1,

    factor sin(root_k r) / r (1 - (p+1)(p+2)/2 x^p + p(p+2) x^(p+1) - p(p+1)/2 x^(p+2)).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from lammps_mace.kernels.backends import implementation
from lammps_mace.kernels.packing import in_panels


class BesselBasis(NamedTuple):
    """The basis above.

    Attributes:
        cutoff: Å.
        factor: of all functions.
        power: p, at least 2.
    """

    cutoff: float
    factor: float
    power: int


class RadialInputs(NamedTuple):
    """What the first layer reads, given by what it is made of.

    Attributes:
        vectors: [n, 3], Å; their lengths are the distances, any harmless one for zero vectors.
        roots: [k], 1/Å, of the basis.
        basis: the rest of it.
    """

    vectors: jax.Array
    roots: jax.Array
    basis: BesselBasis


def pack_layers(matrices: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Arrange matrices [n_in, n_out] as :func:`radial_network` wants them."""
    return tuple(map(in_panels, matrices))


def radial_network(
    inputs: RadialInputs | jax.Array,
    layers: Sequence[jax.Array],
    shape: tuple[int, int],
    n_rows: jax.Array,
    *,
    backend: str,
) -> jax.Array:
    """Return what is left of the inputs after x -> silu(x @ matrix) for each matrix.

    Args:
        inputs: of a known basis, or x itself [n, 1 or 2, n_in], of two followed by its slopes.
        layers: the matrices, as of :func:`pack_layers`.
        shape: 1, or 2 where slopes in the distance follow the values; columns of the last matrix.
        n_rows: int32 scalar, how many of the n rows are wanted; the others are meaningless.
        backend: "xla", "cpu", or "gpu", which is "xla" here.

    Returns:
        [n, *shape].
    """
    module = implementation("radial", "cpu" if backend == "cpu" else "xla")
    found: jax.Array = module.evaluate(inputs, tuple(layers), shape, n_rows)
    return found
