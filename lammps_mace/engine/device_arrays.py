"""Arrays on a GPU that LAMMPS (through CuPy) and JAX share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.engine.atom_layout import filled
from lammps_mace.engine.step_layout import StepLayout


def padded_row_index(layout: StepLayout) -> np.ndarray:
    """Return the row of each own atom and ghost, int32 [capacity.atoms]; no row for the rest."""
    return filled(layout.capacity.atoms, layout.atoms.row_index, layout.capacity.rows)


def to_jax(array: Any, n_rows: int | None = None) -> jax.Array:
    """Return CuPy's array as JAX's, which owns no memory of its own.

    Args:
        n_rows: give a copy with so many rows, the rest zero.
    """
    import cupy

    if n_rows is not None:
        padded = cupy.zeros((n_rows, *array.shape[1:]), array.dtype)
        padded[: len(array)] = array
        array = padded
    return jnp.from_dlpack(array)


def to_cupy(array: jax.Array) -> Any:
    """Return JAX's array as CuPy's, once it is computed."""
    import cupy

    return cupy.from_dlpack(array.block_until_ready())
