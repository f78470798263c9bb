"""The memory of JAX arrays on a CPU, as NumPy arrays to write into."""

from __future__ import annotations

import ctypes
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def shared_array(shape: tuple[int, ...], dtype: Any) -> tuple[jax.Array | np.ndarray, np.ndarray]:
    """Return an array for jitted functions, and NumPy's array of the same memory.

    JAX hands its own arrays on faster than NumPy's. Where it computes elsewhere than on CPUs, both
    are NumPy's.
    """
    if jax.default_backend() != "cpu":
        array = np.zeros(shape, dtype)
        return array, array
    made = jnp.zeros(shape, dtype)
    return made, memory(made)


def memory(array: jax.Array) -> np.ndarray:
    """Return the memory of a JAX array on a CPU, to write into; else a copy.

    JAX takes its arrays for constant; whoever writes must be the only one who holds this one.
    """
    array.block_until_ready()
    if not on_cpu(array):
        return np.array(array)
    start = (ctypes.c_char * array.nbytes).from_address(array.unsafe_buffer_pointer())
    return np.ndarray(array.shape, array.dtype, buffer=start)  # type: ignore[arg-type]


def readable(array: jax.Array) -> memoryview | np.ndarray:
    """Return what compiled code can read an array from: its memory on a CPU, else a copy."""
    try:
        return memoryview(array)  # NumPy would go through Python code of JAX
    except (BufferError, TypeError):
        return np.asarray(array)


def array_of(memory: np.ndarray, origin: jax.Array) -> jax.Array:
    """Return the JAX array of what :func:`memory` gave."""
    return origin if on_cpu(origin) else jax.device_put(memory, origin.device)


def on_cpu(array: jax.Array) -> bool:
    """Return whether the array's memory can be read and written here."""
    return all(device.platform == "cpu" for device in array.devices())
