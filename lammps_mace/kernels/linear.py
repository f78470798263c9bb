"""Products of features with the matrix of a species.

XLA's own products rearrange the matrix in every call, which costs as much as the product itself
where a chunk has few atoms. The kernel for CPUs reads one that was packed once.
"""

from __future__ import annotations

import jax
import numpy as np

from lammps_mace.kernels import native

PANEL = 32  # columns that lie together in a packed matrix; kPanel in cython/kernels/tasks.h


def pack_matrices(matrices: np.ndarray, backend: str) -> np.ndarray:
    """Arrange matrices [n_species, n_in, n_out] as :func:`linear` wants them.

    Returns:
        backend "cpu": [n_species, panels, n_in, PANEL], columns filled up with zeros;
        backend "xla": as they are.
    """
    if backend == "xla":
        return matrices
    species, rows, columns = matrices.shape
    panels = -(-columns // PANEL)
    padded = np.zeros((species, rows, panels * PANEL), matrices.dtype)
    padded[:, :, :columns] = matrices
    cut = padded.reshape(species, rows, panels, PANEL)
    return np.ascontiguousarray(cut.transpose(0, 2, 1, 3))


def linear(
    blocks: tuple[jax.Array, ...],
    tables: list[jax.Array],
    species: jax.Array,
    columns: tuple[int, ...],
    *,
    backend: str,
) -> tuple[jax.Array, ...]:
    """Return each block [B, m, n_in] times its matrix, [B, m, columns].

    Args:
        tables: of :func:`pack_matrices`; one for all species, or one for each.
        species: int32 scalar, that of all B atoms.
        columns: n_out of each.
        backend: "xla" or "cpu".
    """
    if backend == "xla":
        chosen = [table[0] if len(table) == 1 else table[species] for table in tables]
        return tuple(block @ matrix for block, matrix in zip(blocks, chosen, strict=True))
    shapes = [(*block.shape[:2], n) for block, n in zip(blocks, columns, strict=True)]
    call = jax.ffi.ffi_call(
        native.target("linear"),
        [jax.ShapeDtypeStruct(shape, blocks[0].dtype) for shape in shapes],
    )
    return tuple(call(species.reshape(1), *blocks, *tables))
