"""HostPairs: pairs on the host, packed into the engine's order, and their gradients back."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from lammps_mace._pairs import give_gradient, take_pairs
from lammps_mace.engine.step_layout import StepLayout

_ALIGNMENT = 64  # bytes; XLA copies what begins elsewhere


class HostPairs:
    """Pairs as NumPy arrays, which jitted functions take without a copy.

    Args:
        layout: of the step.
        dtype: of the vectors.
        cutoff: Å.
        last: the pairs of a step that is over; their memory is taken again where it fits.
    """

    _arrays: tuple[np.ndarray, ...]

    def __init__(
        self, layout: StepLayout, dtype: np.dtype, cutoff: float, last: Any = None
    ) -> None:
        graph, n_rows = layout.graph, layout.capacity.pair_rows
        self._order, self._offsets = layout.atoms.order, graph.offsets
        if isinstance(last, HostPairs) and len(last._arrays[0]) == n_rows:
            self._arrays = last._arrays
        else:
            shapes = ((n_rows, 3), dtype), ((n_rows,), np.int32), ((n_rows,), np.int32)
            self._arrays = tuple(_aligned(*shape) for shape in shapes)
        self.vectors, self.senders, self.sender_species = self._arrays
        # Behind the last pair a distance that is harmless in every function.
        take_pairs(
            self._order, self._offsets, graph.senders, np.ascontiguousarray(graph.displacements),
            layout.atoms.row_index, graph.species, 2 * cutoff,
            self.vectors, self.senders, self.sender_species,
        )  # fmt: skip

    def unpack_gradient(self, gradient: jax.Array, out: np.ndarray | None = None) -> np.ndarray:
        """Return dE/d displacements in the graph's order, float64 [n_pairs, 3].

        Args:
            gradient: dE/d vectors.
            out: write it there.
        """
        out = np.empty((self._offsets[-1], 3)) if out is None else out
        if len(self._order) < len(self._offsets) - 1:
            out[:] = 0.0  # of atoms that are not part of the model
        give_gradient(self._order, self._offsets, np.asarray(gradient), out)
        return out


def _aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array whose memory begins where XLA takes it without a copy."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)
