"""The two directions of a pair of atoms, so that what depends on the distance is computed once."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.kernels import native

_ROUNDING = 16  # times the relative precision: images of one atom differ by the rounding of places


class Twins(NamedTuple):
    """One direction of each pair of atoms.

    Attributes:
        rows: int32 [n], that of ``vectors`` for each pair.
        vectors: [n, 3], Å.
        n_kept: int32 scalar, how many rows of ``vectors`` are filled.
    """

    rows: jax.Array
    vectors: jax.Array
    n_kept: jax.Array


def twins(vectors: jax.Array, senders: jax.Array, bounds: jax.Array, cutoff: float) -> Twins:
    """Find the pairs that are there in both directions; on a CPU.

    Where the sender is a ghost whose atom has another row, the other direction is not found.

    Args:
        vectors: [n, 3], Å.
        senders: int32 [n], rows of atoms.
        bounds: int32 [atoms + 1]; atom i receives pairs bounds[i] to bounds[i + 1].
        cutoff: Å, of the order of the longest vectors.
    """
    call = jax.ffi.ffi_call(
        native.target("twins"),
        [
            jax.ShapeDtypeStruct(senders.shape, jnp.int32),
            jax.ShapeDtypeStruct(vectors.shape, vectors.dtype),
            jax.ShapeDtypeStruct((1,), jnp.int32),
        ],
    )
    tolerance = _ROUNDING * jnp.finfo(vectors.dtype).eps * cutoff
    rows, kept, count = call(vectors, senders, bounds, tolerance=np.float64(tolerance))
    return Twins(rows, kept, count[0])
