"""Activation functions, plain and normalised as e3nn does."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp

from lammps_mace.config import Activation

Function = Callable[[jax.Array], jax.Array]

_FUNCTIONS: dict[Activation, Function] = {
    Activation.TANH: jnp.tanh,
    Activation.SILU: jax.nn.silu,
    Activation.RELU: jax.nn.relu,
    Activation.ELU: jax.nn.elu,
    Activation.SWISH: jax.nn.silu,
    Activation.SIGMOID: jax.nn.sigmoid,
    Activation.NONE: lambda x: x,
}


def activation(name: Activation) -> Function:
    """Return the function of that name."""
    return _FUNCTIONS[name]


@lru_cache
def second_moment_norm(name: Activation, dtype: str) -> float:
    """Return c with E[f(x)^2] = c^2 for standard normal x (e3nn's ``normalize_function``).

    e3nn finds c by a sum over a million points in its working precision, so a float32 network
    was trained with a constant that differs in the sixth digit from the float64 one; we take the
    constant of the precision in use. A constant close to one is not applied, as in e3nn.
    """
    with jax.enable_x64(dtype == "float64"), jax.ensure_compile_time_eval():
        one = jnp.ones((), dtype)
        plain = _FUNCTIONS[name](one)
        return float(plain / e3nn.normalize_function(_FUNCTIONS[name])(one))


def normalized(name: Activation, dtype: jnp.dtype) -> Function:
    """Return f(x)/c with unit second moment for standard normal x."""
    c = second_moment_norm(name, str(jnp.dtype(dtype)))
    return lambda x: _FUNCTIONS[name](x) / c
