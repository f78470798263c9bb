"""What the engine asks of a layer, whatever computes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from lammps_mace.engine.chunk import Chunk
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.runtime.precision import full_precision


class NodeFeatures(NamedTuple):
    """The atoms' features between two layers, or the adjoints of them.

    Attributes:
        skip: [slots, dim, channels], what the next layer adds to an atom's own update.
        sent: [rows, dim, channels], what atoms send to their neighbours in the next layer.
        After the last layer both are None; nothing reads them.
    """

    skip: jax.Array
    sent: jax.Array


class Results(NamedTuple):
    """What a layer makes of a chunk of n atoms.

    Attributes:
        skip, sent: the chunk's rows of :class:`NodeFeatures`; None after the last layer.
        outputs: [n, n_outputs], energy and, where the model predicts it, charge.
    """

    skip: jax.Array | None
    sent: jax.Array | None
    outputs: jax.Array


class Gradients(NamedTuple):
    """The sums of the backward pass of a layer.

    Attributes:
        vectors: [pair rows, 3], dE/d vectors of all layers so far.
        features: dE/d features that the layer read; None in the first layer, which reads none.
    """

    vectors: jax.Array
    features: NodeFeatures | None


# Adds the gradients that follow from the adjoints of a chunk's results.
Vjp = Callable[[Results, Gradients], Gradients]
# Activations that the forward pass saves for the backward pass: [slots, dim, channels] each.
Saved = tuple[jax.Array, ...] | None


# (weights, arrays) -> what a layer computes of all pairs once per step; None: nothing.
OfPairs = Callable[[Any, StepArrays], Any] | None


def numbers_per_slot(shapes: tuple[tuple[int, int], ...]) -> int:
    """Return how many numbers arrays of these (dim, channels) have for each slot."""
    return sum(map(math.prod, shapes))


@full_precision()
def bytes_of_pairs(layer: Layer, rows: int, dtype: np.dtype) -> int:
    """Return the size of what a layer computes of so many pair rows at once, `Layer.of_pairs`."""
    if layer.of_pairs is None:
        return 0

    def of(dtype: Any, *shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, dtype)

    arrays = StepArrays(
        vectors=of(dtype, rows, 3), senders=of(np.int32, rows), sender_species=of(np.int32, rows),
        bounds=of(np.int32, 2), chunk_species=of(np.int32, 1), atoms_in_chunk=of(np.int32, 1),
        energy_mask=of(bool, 1), n_chunks=of(np.int32),
    )  # fmt: skip
    made = jax.eval_shape(layer.of_pairs, layer.weights, arrays)
    return sum(array.size * array.dtype.itemsize for array in jax.tree.leaves(made))


class Layer(Protocol):
    """One layer on one chunk; JAX traces all its functions.

    Attributes:
        weights: pytree of arrays, an argument of the jitted functions.
        skip_shape, sent_shape: (dim, channels) of the features it makes; None after the last layer.
        saved_shapes: (dim, channels) of what :meth:`forward` can save for :meth:`vjp`.
        of_pairs: makes ``arrays.of_pairs``, where it may be missing all the same.
        in_registers: what belongs to one pair of a chunk stays there, no array holds it.
    """

    weights: Any
    skip_shape: tuple[int, int] | None
    sent_shape: tuple[int, int] | None
    saved_shapes: tuple[tuple[int, int], ...]
    of_pairs: OfPairs
    in_registers: bool

    def forward(
        self, weights: Any, arrays: StepArrays, chunk: Chunk,
        features: NodeFeatures | None, saved: Saved,
    ) -> tuple[Results, Saved]:  # fmt: skip
        """Return the results, and ``saved`` with the chunk's rows written.

        Args:
            features: of the layer before; None in the first layer.
            saved: arrays of ``saved_shapes``; None: save nothing.
        """

    def vjp(
        self, weights: Any, arrays: StepArrays, chunk: Chunk,
        features: NodeFeatures | None, saved: Saved,
    ) -> tuple[Results, Vjp]:  # fmt: skip
        """Return the results and their vector-Jacobian product.

        Args:
            features: of the layer before; None in the first layer.
            saved: what :meth:`forward` saved in this step; None: compute it again.
        """
