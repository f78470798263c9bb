"""The ghost exchange as a call of the compiled program of a step, on a CPU; it takes the time."""

from __future__ import annotations

import struct
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.kernels import native

# A handle is two addresses, of the plugin's step and of the row index. Here both are 0: there is
# nobody to exchange with. It is made of 32-bit words because JAX may be set up without 64 bits.
NO_EXCHANGE_HANDLE = np.zeros(4, np.uint32)
_TIMING = struct.Struct("=qqq")  # entered, left, thread


class CallTiming(NamedTuple):
    """When and where one ghost exchange ran.

    Attributes:
        entered, left: seconds of ``time.perf_counter``.
        thread: its number, see ``threading.get_native_id``.
    """

    entered: float
    left: float
    thread: int


class ExchangedRows(NamedTuple):
    """The results of a ghost exchange.

    Attributes:
        rows: exchanged.
        timing: uint32 [6], see :func:`read_timings`.
        zero: scalar of the rows' type. XLA cannot know that it is 0, so what is computed from it is
            computed after the exchange.
    """

    rows: jax.Array
    timing: jax.Array
    zero: jax.Array


def ghost_exchange(rows: jax.Array, handle: jax.Array, reverse: bool) -> ExchangedRows:
    """Exchange features [rows, dim, channels] with other ranks, in place where XLA can.

    Args:
        handle: uint32 [4], from the exchange, or ``NO_EXCHANGE_HANDLE``.
        reverse: add the ghosts' rows to their owners' instead of filling them from there.

    Raises:
        jax.errors.JaxRuntimeError: the exchange refused, when the program runs.
    """
    results = [
        jax.ShapeDtypeStruct(rows.shape, rows.dtype),
        jax.ShapeDtypeStruct((_TIMING.size // 4,), jnp.uint32),
        jax.ShapeDtypeStruct((), rows.dtype),
    ]
    call = jax.ffi.ffi_call(native.target("ghost_exchange"), results, input_output_aliases={0: 0})
    return ExchangedRows(*call(rows, handle, reverse=np.bool_(reverse)))


def read_timings(words: jax.Array) -> list[CallTiming]:
    """Return the timings in the words of several :class:`ExchangedRows`, [n, 6]."""
    timings = _TIMING.iter_unpack(memoryview(words).tobytes())
    return [CallTiming(entered * 1e-9, left * 1e-9, thread) for entered, left, thread in timings]
