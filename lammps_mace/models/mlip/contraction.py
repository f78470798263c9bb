"""Symmetric contraction: powers of the atomic features with species-dependent weights."""

from __future__ import annotations

from functools import lru_cache

import e3nn_jax as e3nn
import flax.linen as nn
import jax
import numpy as np

from lammps_mace.models.blocks.polynomial import Polynomial, from_tensors
from lammps_mace.runtime.precision import constants


@lru_cache
def tensor_product_basis(
    source: e3nn.Irreps, order: int, target: e3nn.Irreps, symmetric: bool
) -> dict[e3nn.Irrep, np.ndarray]:
    """Return an orthonormal basis of the equivariant maps source^order -> target.

    Returns:
        irrep -> float64 [dim,] * order + [multiplicity, 2l+1].
    """
    with constants():
        if symmetric:
            basis = e3nn.reduced_symmetric_tensor_product_basis(source, order, keep_ir=target)
        else:
            basis = e3nn.reduced_tensor_product_basis([source] * order, keep_ir=target)
        pairs = zip(basis.irreps, basis.chunks, strict=True)
        return {irrep: np.asarray(chunk, np.float64) for (_, irrep), chunk in pairs}


@lru_cache
def contraction_polynomial(
    source: e3nn.Irreps, target: e3nn.Irreps, correlation: int, symmetric: bool
) -> Polynomial:
    """Return the contraction as a polynomial whose components are those of ``target``."""
    bases = {
        order: tensor_product_basis(source, order, target, symmetric)
        for order in range(1, correlation + 1)
    }
    components = [
        {
            weight_name(order, irrep): basis[irrep][..., m]
            for order, basis in bases.items()
            if irrep in basis
        }
        for _, irrep in target
        for m in range(irrep.dim)
    ]
    return from_tensors(source.dim, components)


def weight_name(order: int, irrep: e3nn.Irrep) -> str:
    """Name of the weights of one power and one target irrep, as in checkpoints."""
    return f"w{order}_{irrep}"


class SymmetricContraction(nn.Module):
    """B = sum over nu of W_nu U_nu A^nu, eq. (10) of Batatia et al. (arXiv:2206.07697).

    The backends ``e3nn`` and ``e3nn_symmetric`` differ in the basis U only: of all, or of the
    permutation-symmetric maps.

    Attributes:
        source, target: irreps of multiplicity 1; all channels are treated alike.
        correlation: highest power nu.
        num_species, num_channels: sizes of the weights.
        symmetric: which basis.
    """

    source: e3nn.Irreps
    target: e3nn.Irreps
    correlation: int
    num_species: int
    num_channels: int
    symmetric: bool

    @nn.compact
    def __call__(self, features: jax.Array, species: jax.Array) -> jax.Array:
        """Return [n, target dim, channels] for [n, source dim, channels] and int [n]."""
        source, target = e3nn.Irreps(self.source), e3nn.Irreps(self.target)
        weights = {}
        for order in range(self.correlation, 0, -1):
            basis = tensor_product_basis(source, order, target, self.symmetric)
            for irrep, tensor in basis.items():
                name = weight_name(order, irrep)
                weights[name] = self._weight(name, tensor.shape[-2]).astype(features.dtype)
        polynomial = contraction_polynomial(source, target, self.correlation, self.symmetric)
        return polynomial(features, weights, species)

    def _weight(self, name: str, multiplicity: int) -> jax.Array:
        init = nn.initializers.normal(multiplicity**-0.5)
        return self.param(name, init, (self.num_species, multiplicity, self.num_channels))
