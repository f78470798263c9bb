"""NetworkLayer: a layer of a network as its family defines it, for whoever runs it in pieces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax


class NetworkEdges(NamedTuple):
    """The pairs of some receiving atoms.

    Attributes:
        vectors: [n_edges, 3], r_receiver - r_sender, Å.
        receivers: int32 [n_edges], rows of the receiving atoms.
        mask: bool [n_edges], False for padding.
        sender_species, receiver_species: int32 [n_edges].
    """

    vectors: jax.Array
    receivers: jax.Array
    mask: jax.Array
    sender_species: jax.Array
    receiver_species: jax.Array


class NetworkResults(NamedTuple):
    """What a layer makes of n atoms.

    Attributes:
        own: [n, dim, channels], their new features; None after the last layer.
        sent: [n, dim, channels], what they send in the next layer; None after the last layer.
        outputs: [n, n_outputs], energy and, where the model predicts it, charge.
    """

    own: jax.Array | None
    sent: jax.Array | None
    outputs: jax.Array


@dataclass(frozen=True, eq=False)
class NetworkLayer:
    """One layer, from the sums over neighbours to what its atoms send in the next layer.

    Attributes:
        parameters: pytree of arrays.
        own_shape, sent_shape: (dim, channels) of these results; None after the last layer.
        function: (parameters, own features [n, dim, channels], what the sender of each edge sent
            [n_edges, dim, channels], species int32 [n], edges) -> results; traced by JAX.
    """

    parameters: Any
    own_shape: tuple[int, int] | None
    sent_shape: tuple[int, int] | None
    function: Callable[[Any, jax.Array, jax.Array, jax.Array, NetworkEdges], NetworkResults]
