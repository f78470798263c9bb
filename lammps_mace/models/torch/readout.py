"""Readouts of mace-torch: the energy that one head finds in the scalars of an atom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.models.blocks.linear import Blocks
from lammps_mace.models.description import Readout
from lammps_mace.models.torch.config import Gate, ReadoutConfig, TorchMaceConfig

_GATES: dict[Gate, Callable[[jax.Array], jax.Array]] = {
    Gate.SILU: jax.nn.silu,
    Gate.TANH: jnp.tanh,
    Gate.ABS: jnp.abs,
    Gate.NONE: lambda x: x,
}
_SCALAR = e3nn.Irrep("0e")


def layer_readout(
    config: TorchMaceConfig, params: Mapping[str, Any], index: int, head: int
) -> Readout:
    """Return the sum of the readouts after a layer; zeros where there is none.

    Args:
        params: of the model.
    """
    used = [i for i, readout in enumerate(config.readouts) if readout.layer == index]
    settings = [config.readouts[i] for i in used]
    parameters = [
        _of_head(readout, params[f"readouts_{i}"], head)
        for i, readout in zip(used, settings, strict=True)
    ]

    def function(parameters: Any, blocks: Blocks) -> jax.Array:
        scalars = blocks[_SCALAR][:, 0]
        energy = jnp.zeros_like(scalars[:, :1])
        for readout, arrays in zip(settings, parameters, strict=True):
            energy = energy + _energy(readout, arrays, scalars)
        return energy

    return Readout(function, parameters, frozenset({"0e"} if used else ()))


def _of_head(readout: ReadoutConfig, arrays: Mapping[str, Any], head: int) -> dict[str, np.ndarray]:
    """Return the parts of the arrays that a head uses: the library masks the others with zeros."""
    own = slice(head * readout.width, (head + 1) * readout.width)
    columns = slice(head, head + 1)
    parts = {
        "linear": (slice(None), columns),
        "linear_1": (slice(None), own),
        "linear_mid": (own, own),
        "bias_mid": (own,),
        "linear_2": (own, columns),
        "bias_2": (columns,),
    }
    return {name: np.asarray(array, np.float64)[parts[name]] for name, array in arrays.items()}


def _energy(readout: ReadoutConfig, arrays: Mapping[str, Any], scalars: jax.Array) -> jax.Array:
    if readout.kind == "linear":
        return scalars @ arrays["linear"]
    gate = _GATES[readout.gate]
    hidden = gate(scalars @ arrays["linear_1"])
    if readout.kind == "biased":
        hidden = gate(hidden @ arrays["linear_mid"] + arrays["bias_mid"])
        return hidden @ arrays["linear_2"] + arrays["bias_2"]
    return hidden @ arrays["linear_2"]
