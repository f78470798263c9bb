"""HostPairs: pairs on the host, packed into the engine's order, and their gradients back."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from lammps_mace._pairs import give_gradient, take_pairs
from lammps_mace.engine.host_memory import readable, shared_array
from lammps_mace.engine.step_layout import StepLayout


class HostPairs:
    """Pairs in memory that jitted functions read as it is.

    Args:
        layout: of the step.
        dtype: of the vectors.
        cutoff: Å.
        last: the pairs of a step that is over; their memory is taken again where it fits.
    """

    vectors: Any
    senders: Any
    sender_species: Any
    _arrays: list[tuple[Any, np.ndarray]]  # for jitted functions, and their memory

    def __init__(
        self, layout: StepLayout, dtype: np.dtype, cutoff: float, last: Any = None
    ) -> None:
        graph, n_rows = layout.graph, layout.capacity.pair_rows
        self._order, self._offsets = layout.atoms.order, graph.offsets
        if isinstance(last, HostPairs) and len(last.vectors) == n_rows:
            self._arrays = last._arrays
        else:
            shapes = ((n_rows, 3), dtype), ((n_rows,), np.int32), ((n_rows,), np.int32)
            self._arrays = [shared_array(*shape) for shape in shapes]
        (self.vectors, vectors), (self.senders, senders), (self.sender_species, species) = (
            self._arrays
        )
        # Behind the last pair a distance that is harmless in every function.
        take_pairs(
            self._order, self._offsets, graph.senders, np.ascontiguousarray(graph.displacements),
            layout.atoms.row_index, graph.species, 2 * cutoff,
            vectors, senders, species,
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
        give_gradient(self._order, self._offsets, readable(gradient), out)
        return out
