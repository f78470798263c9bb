"""Activation functions, plain and normalised as e3nn does."""

from __future__ import annotations

from collections.abc import Callable

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from lammps_mace.models.options import Activation

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


# c with E[f(x)^2] = c^2 for standard normal x, in (float32, float64). e3nn finds c by a sum over a
# million points in its working precision, at each start: a float32 network was trained with a
# constant that differs in the sixth digit from the float64 one. Kept here because finding them
# takes a second, and so that they do not depend on the machine.
_SILU_NORM = (0.5964577198028564, 0.5964586854233045)
_NORMS: dict[Activation, tuple[float, float]] = {
    Activation.TANH: (0.6279281973838806, 0.6279282481638502),
    Activation.SILU: _SILU_NORM,
    Activation.RELU: (0.707097053527832, 0.707097894018724),
    Activation.ELU: (0.8030761480331421, 0.8030768955880001),
    Activation.SWISH: _SILU_NORM,
    Activation.SIGMOID: (0.5416445136070251, 0.5416445654162108),
    Activation.NONE: (0.9999867677688599, 0.9999874316467329),
}
_SOFT_ODD_NORM = (0.839354395866394, 0.8393551737104532)


def second_moment_norm(name: Activation, dtype: DTypeLike) -> float:
    """Return c with E[f(x)^2] = c^2 for standard normal x (e3nn's ``normalize_function``)."""
    return _NORMS[name][jnp.dtype(dtype) == jnp.float64]


def normalized(name: Activation, dtype: DTypeLike) -> Function:
    """Return f(x)/c with unit second moment for standard normal x."""
    return _scaled(_FUNCTIONS[name], second_moment_norm(name, dtype))


def normalized_odd(dtype: DTypeLike) -> Function:
    """Return e3nn's activation of odd scalars, (1 - exp(-x^2)) x, normalised likewise."""
    return _scaled(e3nn.soft_odd, _SOFT_ODD_NORM[jnp.dtype(dtype) == jnp.float64])


def _scaled(function: Function, norm: float) -> Function:
    return lambda x: function(x) / norm
