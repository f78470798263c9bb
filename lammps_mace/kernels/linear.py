"""Products of features with the matrix of a species.

XLA's own products rearrange the matrix in every call, which costs as much as the product itself
where a chunk has few atoms. The kernel for CPUs reads one that was packed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from lammps_mace.kernels import native
from lammps_mace.kernels.packing import in_panels


class Matrices(NamedTuple):
    """Matrices of one map, one for all species or one for each; see :func:`pack_matrices`.

    Attributes:
        forward: from n_in to n_out features.
        back: transposed.
    """

    forward: Any
    back: Any

    @property
    def transposed(self) -> Matrices:
        """The map of the adjoints."""
        return Matrices(self.back, self.forward)


def pack_matrices(matrices: np.ndarray, backend: str) -> Matrices:
    """Arrange matrices [n_species or 1, n_in, n_out] as :func:`linear` wants them.

    For the backend "cpu" [n_species, panels, rows, PANEL], columns filled up with zeros; else as
    they are.
    """
    both = matrices, matrices.swapaxes(1, 2)
    return Matrices(*(map(in_panels, both) if backend == "cpu" else both))


def linear(
    blocks: Sequence[jax.Array],
    matrices: Sequence[Matrices],
    species: jax.Array,
    n_atoms: jax.Array,
    *,
    backend: str,
) -> tuple[jax.Array, ...]:
    """Return each block [B, m, n_in] times its matrix, [B, m, n_out].

    Differentiable in the blocks only.

    Args:
        species: int32 scalar, that of all atoms.
        n_atoms: int32 scalar, how many of the B rows hold atoms; the results of the others are
            meaningless.
        backend: "xla", "cpu", or "gpu", which is "xla" here.
    """
    return _linear(backend, tuple(blocks), tuple(matrices), species, n_atoms)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _linear(
    backend: str,
    blocks: tuple[jax.Array, ...],
    matrices: tuple[Matrices, ...],
    species: jax.Array,
    n_atoms: jax.Array,
) -> tuple[jax.Array, ...]:
    if backend != "cpu":
        tables = [m.forward for m in matrices]
        chosen = [table[0] if len(table) == 1 else table[species] for table in tables]
        return tuple(block @ matrix for block, matrix in zip(blocks, chosen, strict=True))
    # The transposed matrix has a row for each column of the result.
    shapes = [(*b.shape[:2], m.back.shape[2]) for b, m in zip(blocks, matrices, strict=True)]
    call = jax.ffi.ffi_call(
        native.target("linear"),
        [jax.ShapeDtypeStruct(shape, blocks[0].dtype) for shape in shapes],
    )
    tables = [m.forward for m in matrices]
    return tuple(call(species.reshape(1), n_atoms.reshape(1), *blocks, *tables))


def _forward(
    backend: str, blocks: tuple[jax.Array, ...], matrices: tuple[Matrices, ...], *filled: jax.Array
) -> tuple[tuple[jax.Array, ...], Any]:
    return _linear(backend, blocks, matrices, *filled), (matrices, filled)


def _backward(
    backend: str, saved: tuple[Any, Any], adjoints: tuple[jax.Array, ...]
) -> tuple[tuple[jax.Array, ...], None, None, None]:
    matrices, filled = saved
    back = tuple(m.transposed for m in matrices)
    return _linear(backend, adjoints, back, *filled), None, None, None


_linear.defvjp(_forward, _backward)
