"""LayerBuffers: memory for what the layers make, the same in every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import jax.numpy as jnp
import numpy as np

from lammps_mace.engine.capacity import Capacity
from lammps_mace.engine.layer import Layer, NodeFeatures, Saved, numbers_per_slot


class LayerBuffers(NamedTuple):
    """Memory for what one layer makes; every step writes its rows anew.

    Rows that no atom has keep what they held; nothing reads them.

    Attributes:
        features: that the layer makes.
        saved: activations for its backward pass; None: they are computed again.
    """

    features: NodeFeatures
    saved: Saved


class _Shelf:
    """Where a step leaves its buffers for the next one."""

    free: list[LayerBuffers] | None = None


# One for all engines whose steps make the same arrays: the models of a committee run one after the
# other, and what one has just used is still in the caches. It goes with the last of them.
_SHELVES: WeakValueDictionary[tuple[Any, ...], _Shelf] = WeakValueDictionary()


class BufferPool:
    """The buffers of the layers that run forward and backward apart.

    A program takes them as arguments and gives back their memory in its results. A step that fails
    gives nothing back; the next one then gets new buffers.

    Args:
        layers: the layers, in order.
        dtype: of all arrays.
        saved_bytes: a layer whose saved activations would take more than this saves none.
    """

    def __init__(self, layers: Sequence[Layer], dtype: np.dtype, saved_bytes: int) -> None:
        self._layers, self._dtype, self._saved_bytes = layers, dtype, saved_bytes
        shapes = tuple((x.skip_shape, x.sent_shape, tuple(x.saved_shapes)) for x in layers)
        self._arrays = shapes, dtype, saved_bytes
        self._shelf = _Shelf()
        self._capacity = Capacity()

    def take(self, capacity: Capacity) -> list[LayerBuffers]:
        """Return the buffers for a step at this capacity."""
        if self._capacity is not capacity:
            self._capacity, self._shelf = capacity, _Shelf()  # before there are others
            key = *self._arrays, capacity, jnp.zeros(0).device
            self._shelf = _SHELVES.setdefault(key, self._shelf)
        free, self._shelf.free = self._shelf.free, None
        return free or [self._new(layer, capacity) for layer in self._layers]

    def put_back(self, buffers: list[LayerBuffers]) -> None:
        """Keep the buffers for the next step."""
        self._shelf.free = buffers

    def _new(self, layer: Layer, capacity: Capacity) -> LayerBuffers:
        slots, rows = capacity.slots, capacity.rows

        def zeros(n_rows: int, shape: tuple[int, int] | None) -> Any:
            return None if shape is None else jnp.zeros((n_rows, *shape), self._dtype)

        features = NodeFeatures(zeros(slots, layer.skip_shape), zeros(rows, layer.sent_shape))
        size = slots * numbers_per_slot(layer.saved_shapes) * self._dtype.itemsize
        if size > self._saved_bytes:
            return LayerBuffers(features, None)
        return LayerBuffers(features, tuple(zeros(slots, shape) for shape in layer.saved_shapes))
