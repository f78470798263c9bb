"""The readouts of a mace-torch checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from lammps_mace.convert.torch.accounting import Module
from lammps_mace.convert.torch.maps import linear, normalized_function
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
    return {"linear": _scalars(module, "linear")[0]}


def _hidden(module: Module, settings: dict[str, Any], n_heads: int) -> Arrays:
    """Return the maps of a readout with hidden layers; width and gate are added to its settings."""
    activation = module.module("non_linearity", "Activation")
    acts = activation.module("acts", "ModuleList")
    gate, factor = "none", 1.0
    if acts.record.modules:
        gate, factor = normalized_function(acts, "0")
    first, _ = _scalars(module, "linear_1")
    found = {"linear_1": first}
    if settings["kind"] == "biased":
        middle, bias = _scalars(module, "linear_mid")
        found |= {"linear_mid": factor * middle, "bias_mid": _bias(module, bias)}
    last, bias = _scalars(module, "linear_2")
    found["linear_2"] = factor * last
    if settings["kind"] == "biased":
        found["bias_2"] = _bias(module, bias)
    width, left = divmod(first.shape[1], n_heads)
    if left or module.attribute("num_heads", int, default=1) != n_heads:
        raise ConvertError(f"{module.place} has not the same hidden scalars for {n_heads} heads")
    settings |= {"width": width, "gate": gate}
    return found


def _scalars(module: Module, key: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the matrix of a map that scalars leave, and its biases."""
    matrices, bias = linear(module, key)
    if list(matrices) != ["0e"]:
        raise ConvertError(f"{module.place}.{key} ends in what is no scalar")
    return matrices["0e"], bias


def _bias(module: Module, bias: np.ndarray | None) -> np.ndarray:
    if bias is None:
        raise ConvertError(f"{module.place} has no biases: the file is damaged or no MACE")
    return bias
