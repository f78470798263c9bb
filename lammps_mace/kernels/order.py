"""The order in which XLA's CPU runtime does what could be done at the same time."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lammps_mace.kernels import native


def in_turn(index: jax.Array) -> jax.Array:
    """Return the index, int32 scalar; what needs it waits for its turn.

    Where more than eight operations of a loop's body are ready, the runtime hands half of them, and
    with them perhaps the rest of the body, to a thread of its pool. On one core that costs two
    switches of threads in every pass; where each core has a rank, it disturbs another one. XLA
    does not see through this call: of many reads, those that use its result come after the others.
    """
    if jax.default_backend() != "cpu":  # where the C++ kernels need not load
        return index
    # A function that is made here for another platform gets no call of a CPU.
    return jax.lax.platform_dependent(index, cpu=_passed, default=lambda index: index)


def _passed(index: jax.Array) -> jax.Array:
    call = jax.ffi.ffi_call(native.target("pass_index"), jax.ShapeDtypeStruct((1,), jnp.int32))
    return call(index.reshape(1))[0]
