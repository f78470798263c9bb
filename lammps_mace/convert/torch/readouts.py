"""Reads the readouts of a mace-torch checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from lammps_mace.convert.torch.accounting import Module
from lammps_mace.convert.torch.maps import linear, normalized_function, scalar_map
from lammps_mace.errors import ConvertError

Arrays = dict[str, np.ndarray]

_KINDS = {
    "LinearReadoutBlock": "linear",
    "NonLinearReadoutBlock": "non-linear",
    "NonLinearBiasReadoutBlock": "biased",
}


def read_readouts(
    model: Module, n_layers: int, n_heads: int
) -> tuple[list[dict[str, Any]], Arrays]:
    """Return the settings and arrays of the readouts."""
    modules = model.modules("readouts", *_KINDS)
    # A single readout is that of the last layer, as in the library.
    layers = [n_layers - 1] if len(modules) == 1 else list(range(len(modules)))
    settings: list[dict[str, Any]] = []
    arrays: Arrays = {}
    for index, (layer, module) in enumerate(zip(layers, modules, strict=True)):
        found = {"layer": layer, "kind": _KINDS[module.kind]}
        parts = _linear(module) if found["kind"] == "linear" else _hidden(module, found, n_heads)
        arrays.update((f"readouts_{index}#{key}", array) for key, array in parts.items())
        settings.append(found)
    return settings, arrays


def _linear(module: Module) -> Arrays:
    return {"linear": scalar_map(module, "linear")}


def _hidden(module: Module, settings: dict[str, Any], n_heads: int) -> Arrays:
    """Return the maps of a readout with hidden layers; width and gate are added to its settings."""
    activation = module.module("non_linearity", "Activation")
    acts = activation.module("acts", "ModuleList")
    gate, factor = "none", 1.0
    if acts.record.modules:
        gate, factor = normalized_function(acts, "0")
    found = {"linear_1": scalar_map(module, "linear_1")}
    if settings["kind"] == "biased":
        middle, found["bias_mid"] = _biased(module, "linear_mid")
        last, found["bias_2"] = _biased(module, "linear_2")
        found["linear_mid"] = factor * middle
    else:
        last = scalar_map(module, "linear_2")
    found["linear_2"] = factor * last
    width, left = divmod(found["linear_1"].shape[1], n_heads)
    if left or module.attribute("num_heads", int, default=1) != n_heads:
        raise ConvertError(
            f"{module.place} does not have the same hidden scalars for {n_heads} heads"
        )
    settings |= {"width": width, "gate": gate}
    return found


def _biased(module: Module, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix and the biases of a map between scalars."""
    matrices, bias = linear(module, key)
    if list(matrices) != ["0e"]:
        raise ConvertError(f"{module.place}.{key} maps to more than scalars (0e)")
    if bias is None:
        raise ConvertError(
            f"{module.place}.{key} has no biases: the file is damaged or holds no MACE"
        )
    return matrices["0e"], bias
