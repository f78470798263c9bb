"""Norms of vectors and features, with gradients that are finite everywhere."""

from __future__ import annotations

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp

from lammps_mace.models.blocks.linear import join, split


def safe_norm(vectors: jax.Array) -> jax.Array:
    """Return |v| [n] of [n, 3] with a zero gradient at v = 0."""
    squared = jnp.sum(vectors**2, axis=-1)
    positive = squared > 0.0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)


def bounded(features: jax.Array, irreps: e3nn.Irreps, bound: float) -> jax.Array:
    """Return x / (1 + n sus(n)) per irrep, n = rms of its components over ``bound``.

    Args:
        features: [n, dim, channels].
    """
    blocks = {}
    for irrep, block in split(features, irreps).items():
        mean = jnp.sum(block**2, axis=1, keepdims=True) / irrep.dim
        norm = jnp.where(mean > 0.0, jnp.sqrt(jnp.where(mean > 0.0, mean, 1.0)), 1.0)
        n = norm / bound
        blocks[irrep] = block / (1.0 + n * e3nn.sus(n))
    return join(blocks, irreps)
