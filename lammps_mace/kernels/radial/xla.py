"""Radial networks in plain XLA: the reference."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lammps_mace.kernels.packing import from_panels
from lammps_mace.kernels.radial import RadialInputs


def evaluate(
    inputs: RadialInputs | jax.Array,
    layers: tuple[jax.Array, ...],
    shape: tuple[int, int],
    n_rows: jax.Array,
) -> jax.Array:
    """See :func:`lammps_mace.kernels.radial.radial_network`."""
    del n_rows
    slopes, n_functions = shape[0] == 2, shape[1]
    widths = [layer.shape[1] for layer in layers[1:]] + [n_functions]
    matrices = [from_panels(layer, n) for layer, n in zip(layers, widths, strict=True)]

    def functions(x: jax.Array) -> jax.Array:
        for matrix in matrices:
            x = jax.nn.silu(x @ matrix)
        return x

    if not isinstance(inputs, RadialInputs):
        rows = (inputs[:, 0],), (inputs[:, -1],)
        return _values(functions, *rows, slopes)
    squared = jnp.sum(inputs.vectors**2, axis=1)
    distances = jnp.sqrt(jnp.where(squared > 0.0, squared, inputs.basis.cutoff**2 / 4))
    rows = (distances,), (jnp.ones_like(distances),)
    return _values(lambda r: functions(_basis(inputs, r)), *rows, slopes)


def _values(function: Any, x: tuple[jax.Array], dx: tuple[jax.Array], slopes: bool) -> jax.Array:
    if not slopes:
        return function(*x)[:, None]
    return jnp.stack(jax.jvp(function, x, dx), axis=1)


def _basis(inputs: RadialInputs, r: jax.Array) -> jax.Array:
    basis, p, x = inputs.basis, inputs.basis.power, r / inputs.basis.cutoff
    inner = (p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x**2
    envelope = jnp.where(x < 1.0, basis.factor * (1.0 - x**p * inner), 0.0)
    return jnp.sin(inputs.roots * r[:, None]) * (envelope / r)[:, None]
