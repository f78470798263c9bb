"""The order in which XLA's CPU runtime does what could be done at the same time."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lammps_mace.kernels import native


def serialize_after(index: jax.Array) -> jax.Array:
    """Return the same index, int32 scalar, through a call that XLA cannot see through.

    Operations that use the result start after this call, and so after other operations of the same
    loop body. Without it more than eight of them are ready at once. XLA's CPU runtime then gives
    half of them, and perhaps the rest of the body, to a thread of its pool. On one core that costs
    two switches of threads in each iteration; where each core has a rank, it disturbs another one.
    """
    if jax.default_backend() != "cpu":  # where the C++ kernels need not load
        return index
    # A function that is made here for another platform gets no call of a CPU.
    return jax.lax.platform_dependent(index, cpu=_passed, default=lambda index: index)


def _passed(index: jax.Array) -> jax.Array:
    call = jax.ffi.ffi_call(native.target("pass_index"), jax.ShapeDtypeStruct((1,), jnp.int32))
    return call(index.reshape(1))[0]
