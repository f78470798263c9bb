"""Radial networks as a C++ kernel for CPUs, through XLA's custom calls."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.kernels import native
from lammps_mace.kernels.radial import BesselBasis, RadialInputs


def evaluate(
    inputs: RadialInputs | jax.Array,
    layers: tuple[jax.Array, ...],
    shape: tuple[int, int],
    n_rows: jax.Array,
) -> jax.Array:
    """See :func:`lammps_mace.kernels.radial.radial_network`."""
    if isinstance(inputs, RadialInputs):
        rows, roots, basis = inputs
    else:
        rows, roots, basis = inputs, jnp.zeros(0, inputs.dtype), BesselBasis(0.0, 0.0, 0)
    result = jax.ShapeDtypeStruct((len(rows), *shape), rows.dtype)
    call = jax.ffi.ffi_call(native.target("radial"), result)
    found: jax.Array = call(
        n_rows.reshape(1), rows, roots, *layers, cutoff=np.float64(basis.cutoff),
        factor=np.float64(basis.factor), power=np.int32(basis.power),
    )  # fmt: skip
    return found
