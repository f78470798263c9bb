"""What the engine asks of a layer, whatever computes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

from lammps_mace.engine.chunks import Chunk, Inputs


class State(NamedTuple):
    """Features between two layers, or their adjoints.

    Attributes:
        kept: [slots, dim, channels], what an atom keeps for itself in the next layer.
        sent: [rows, dim, channels], what atoms send to their neighbours there.
        After the last layer, which has no next, both are None; nothing reads them.
    """

    kept: jax.Array
    sent: jax.Array


class Results(NamedTuple):
    """What a layer makes of a chunk of n atoms.

    Attributes:
        kept, sent: rows of :class:`State`; None after the last layer.
        outputs: [n, n_outputs], energy and, where the model predicts it, charge.
    """

    kept: jax.Array | None
    sent: jax.Array | None
    outputs: jax.Array


class Sums(NamedTuple):
    """What the backward pass adds up.

    Attributes:
        gradient: [pairs, 3], dE/d vectors.
        adjoint: of the state that the layer read; None in the first layer.
    """

    gradient: jax.Array
    adjoint: State | None


Pull = Callable[[Results, Sums], Sums]
# What forward notes so that linearize has less to do: [slots, dim, channels] each, or nothing.
Memo = tuple[jax.Array, ...] | None


def memo_numbers(shapes: tuple[tuple[int, int], ...]) -> int:
    """Return the numbers per slot in a memo of these (dim, channels)."""
    return sum(map(math.prod, shapes))


class Layer(Protocol):
    """One layer on one chunk; all functions are traced.

    Attributes:
        weights: pytree of arrays, an argument of the jitted functions.
        kept_shape, sent_shape: (dim, channels) of the rows it makes; None after the last layer.
        memo_shapes: (dim, channels) of what :meth:`forward` can note for :meth:`linearize`.
    """

    weights: Any
    kept_shape: tuple[int, int] | None
    sent_shape: tuple[int, int] | None
    memo_shapes: tuple[tuple[int, int], ...]

    def forward(
        self, weights: Any, inputs: Inputs, chunk: Chunk, state: State | None, memo: Memo
    ) -> tuple[Results, Memo]:
        """Return the results, and the memo with the chunk's rows written."""

    def linearize(
        self, weights: Any, inputs: Inputs, chunk: Chunk, state: State | None, memo: Memo
    ) -> tuple[Results, Pull]:
        """Return the results and the function that pulls their adjoints back."""
