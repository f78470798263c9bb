"""Transfers: arrays on their way between host and device, and how many bytes they had."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jax

# What the bytes are for.
LIST, STEP, EXCHANGE = "list", "step", "exchange"


class Transfers:
    """Moves arrays and counts their bytes.

    Attributes:
        bytes: since the last reset, of neighbour lists, of steps, and of exchanges between ranks.
        atoms: own atoms and ghosts of all steps since then.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Count anew."""
        self.bytes: Counter[str] = Counter()
        self.atoms = 0

    @property
    def per_atom(self) -> dict[str, float]:
        """Bytes per atom (own and ghost) and step, by what they are for."""
        return {kind: self.bytes[kind] / max(self.atoms, 1) for kind in (STEP, LIST, EXCHANGE)}

    def up(self, arrays: Any, kind: str = STEP) -> Any:
        """Return a tree of NumPy arrays as JAX's arrays on the device."""
        self.bytes[kind] += sum(array.nbytes for array in jax.tree.leaves(arrays))
        return jax.device_put(arrays)

    def down(self, arrays: Any, kind: str = STEP) -> Any:
        """Return a tree of JAX's arrays, once they are computed, as NumPy arrays."""
        self.bytes[kind] += sum(array.nbytes for array in jax.tree.leaves(arrays))
        return jax.device_get(arrays)
