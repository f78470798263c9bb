"""How tables are packed for kernels: channels or columns in blocks that lie together."""

from __future__ import annotations

import numpy as np


def in_blocks(array: np.ndarray, size: int) -> np.ndarray:
    """Return [..., blocks, size] of [..., n], filled up with zeros."""
    *rows, n = array.shape
    blocks = -(-n // size)
    if blocks * size == n:
        return array.reshape(*rows, blocks, size)
    padded = np.zeros((*rows, blocks * size), array.dtype)
    padded[..., :n] = array
    return padded.reshape(*rows, blocks, size)
