"""The boundary of two layers in a step's program on a CPU: the exchange, and the time."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.kernels import native

# Two addresses: of the plugin's step and of the rows' places. Words, for JAX may lack 64 bits.
NO_SEAM = np.zeros(4, np.uint32)
_PASSAGE = np.dtype([("reached", np.int64), ("left", np.int64), ("thread", np.int64)])


class Passage(NamedTuple):
    """One passage of a boundary.

    Attributes:
        reached, left: seconds of ``time.perf_counter``.
        thread: its number, see ``threading.get_native_id``.
    """

    reached: float
    left: float
    thread: int


class Crossing(NamedTuple):
    """What comes out of a boundary.

    Attributes:
        rows: exchanged.
        passage: uint32 [6], see :func:`read_passage`.
        zero: scalar of the rows' type. XLA does not see that it is: what is made of it, is made
            after the exchange.
    """

    rows: jax.Array
    passage: jax.Array
    zero: jax.Array


def boundary(rows: jax.Array, seam: jax.Array, reverse: bool) -> Crossing:
    """Exchange features [rows, dim, channels] with other ranks, in place where XLA can.

    Args:
        seam: uint32 [4], from the exchange; of zeros: there is nobody to exchange with.
        reverse: add copies to their owners' rows instead of filling them from there.

    Raises:
        jax.errors.JaxRuntimeError: the exchange refused, when the program runs.
    """
    results = [
        jax.ShapeDtypeStruct(rows.shape, rows.dtype),
        jax.ShapeDtypeStruct((_PASSAGE.itemsize // 4,), jnp.uint32),
        jax.ShapeDtypeStruct((), rows.dtype),
    ]
    call = jax.ffi.ffi_call(native.target("boundary"), results, input_output_aliases={0: 0})
    return Crossing(*call(rows, seam, reverse=np.bool_(reverse)))


def read_passage(words: jax.Array) -> Passage:
    """Return what the ``passage`` of a crossing says."""
    [(reached, left, thread)] = np.asarray(words).view(_PASSAGE).tolist()
    return Passage(reached * 1e-9, left * 1e-9, thread)
