"""How tables are packed for kernels: channels or columns in blocks that lie together."""

from __future__ import annotations

from typing import TypeVar

import jax
import numpy as np

PANEL = 32  # columns that lie together in a packed matrix; kPanel in cython/kernels/tasks.h

Array = TypeVar("Array", np.ndarray, jax.Array)


def in_panels(matrices: np.ndarray) -> np.ndarray:
    """Return matrices [..., rows, columns] as [..., panels, rows, PANEL], filled up with zeros."""
    return np.ascontiguousarray(np.moveaxis(in_blocks(matrices, PANEL), -2, -3))


def from_panels(packed: Array, columns: int) -> Array:
    """Return the matrix [rows, columns] that is packed as [panels, rows, PANEL]."""
    return packed.swapaxes(0, 1).reshape(packed.shape[1], -1)[:, :columns]


def in_blocks(array: np.ndarray, size: int) -> np.ndarray:
    """Return [..., blocks, size] of [..., n], filled up with zeros."""
    *rows, n = array.shape
    blocks = -(-n // size)
    if blocks * size == n:
        return array.reshape(*rows, blocks, size)
    padded = np.zeros((*rows, blocks * size), array.dtype)
    padded[..., :n] = array
    return padded.reshape(*rows, blocks, size)
