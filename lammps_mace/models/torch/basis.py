"""Input of the radial networks of mace-torch: cutoff, transform and basis of a distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from lammps_mace.models.torch.config import Basis, RadialConfig, Transform

_NEAREST = 1e-8  # Å; a quotient by a smaller distance would have no finite slope
_NEAREST_RATIO = 1e-3  # of distance and radius, for their powers


def basis_and_cutoff(
    config: RadialConfig,
    params: Mapping[str, Any],
    distances: jax.Array,
    senders: jax.Array,
    receivers: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Return the basis [n, count], cutoff included where it belongs, and the outer factor [n, 1].

    Args:
        distances: [n], Å.
        senders, receivers: their species, int32 [n].
    """
    cutoff = envelope(distances, params["cutoff"], params["p"])[:, None]
    basis = _basis(config, params, _transformed(config, params, distances, senders, receivers))
    if config.cutoff_outside:
        return basis, cutoff
    return basis * cutoff, jnp.ones_like(cutoff)


def envelope(distances: jax.Array, cutoff: jax.Array, p: jax.Array) -> jax.Array:
    """Return the polynomial in powers p to p + 2 that is 1 at 0, and 0 from ``cutoff`` on."""
    x = jnp.minimum(distances / cutoff, 1.0)
    power = jnp.where(x > 0.0, jnp.where(x > 0.0, x, 1.0) ** p, 0.0)
    inner = (p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x**2
    return jnp.where(distances < cutoff, 1.0 - power * inner, 0.0)


def radii_of(params: Mapping[str, Any], senders: jax.Array, receivers: jax.Array) -> jax.Array:
    """Return the sum of the covalent radii of two elements [n], Å."""
    return params["radii"][senders] + params["radii"][receivers]


def _transformed(
    config: RadialConfig,
    params: Mapping[str, Any],
    distances: jax.Array,
    senders: jax.Array,
    receivers: jax.Array,
) -> jax.Array:
    if config.transform is Transform.NONE:
        return distances
    constants = params["transform"]
    radii = radii_of(constants, senders, receivers)
    if config.transform is Transform.AGNESI:
        q, p = constants["q"], constants["p"]
        x = jnp.maximum(distances / (0.5 * radii), _NEAREST_RATIO)
        return 1.0 / (1.0 + constants["a"] * x**q / (1.0 + x ** (q - p)))
    if config.transform is Transform.EARLY_SOFT:
        x = jnp.maximum(distances / (0.25 * radii), _NEAREST_RATIO)
        return distances + 0.5 * jnp.tanh(-x - constants["a"] * x ** constants["b"]) + 0.5
    near, far = 0.75 * radii, 4.0 / 3.0 * radii
    slope = constants["alpha"] / (far - near)
    step = 0.5 * (1.0 + jnp.tanh(slope * (distances - 0.5 * (near + far))))
    return near + (distances - near) * step


def _basis(config: RadialConfig, params: Mapping[str, Any], x: jax.Array) -> jax.Array:
    x = x[:, None]
    if config.basis is Basis.GAUSSIAN:
        return jnp.exp(params["coefficient"] * (x - params["centers"]) ** 2)
    if config.basis is Basis.CHEBYSHEV:
        found = _chebyshev(x, max(config.orders))
        return jnp.concatenate([found[order] for order in config.orders], axis=1)
    x = jnp.maximum(x, _NEAREST)
    return params["prefactor"] * jnp.sin(params["roots"] * x) / x


def _chebyshev(x: jax.Array, highest: int) -> list[jax.Array]:
    """Return the polynomials T_0 to T_highest of [n, 1]."""
    found = [jnp.ones_like(x), x]
    for _ in range(highest - 1):
        found.append(2.0 * x * found[-1] - found[-2])
    return found
