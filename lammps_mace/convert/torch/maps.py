"""Reads linear maps and networks as matrices: constants are multiplied in, LoRA is merged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from lammps_mace.convert.torch.accounting import Module
from lammps_mace.convert.torch.records import instruction, irreps
from lammps_mace.errors import ConvertError
from lammps_mace.models.blocks.irreps import Irrep, irrep_list, name

Matrices = dict[str, np.ndarray]  # irrep -> [in, out] or [n_species, in, out]
LINEAR = "Linear", "LoRAO3Linear"


def linear(parent: Module, key: str) -> tuple[Matrices, np.ndarray | None]:
    """Return the matrices of one of e3nn's linear maps, and its biases [out] of 0e.

    All copies of an irrep among the inputs are in one matrix.
    """
    module = parent.module(key, *LINEAR)
    if module.kind == "LoRAO3Linear":
        return _merged(module)
    blocks, bias = _blocks(module)
    inputs, outputs = (irreps(module.attribute(k, object)) for k in ("irreps_in", "irreps_out"))
    _once(module, outputs)
    matrices = {}
    for i_out, (_, *irrep) in enumerate(outputs):
        used = sorted(i_in for i_in, out in blocks if out == i_out)
        if used != [i for i, (n, *other) in enumerate(inputs) if other == irrep and n]:
            raise ConvertError(
                f"{module.place} leaves out irreps: the file is damaged or holds no MACE"
            )
        if used:
            parts = [blocks[i_in, i_out] for i_in in used]
            matrices[name((irrep[0], irrep[1]))] = np.concatenate(parts)
    return matrices, bias


def unbiased(parent: Module, key: str) -> Matrices:
    """Return the matrices of a linear map of e3nn that must not have biases."""
    matrices, bias = linear(parent, key)
    if bias is not None:
        raise ConvertError(f"{parent.place}.{key} has biases, which no MACE has there")
    return matrices


def scalar_map(parent: Module, key: str) -> np.ndarray:
    """Return the matrix [in, out] of a linear map between scalars 0e, without biases."""
    matrices = unbiased(parent, key)
    if list(matrices) != ["0e"]:
        raise ConvertError(f"{parent.place}.{key} is not a map between scalars (0e)")
    return matrices["0e"]


def _blocks(module: Module) -> tuple[dict[tuple[int, int], np.ndarray], np.ndarray | None]:
    """Return (input, output) -> matrix, path weight included, and the biases of 0e."""
    module.ignore("output_mask")
    weight, at = module.array("weight", -1), 0
    blocks, bias = {}, None
    for item in module.attribute("instructions", list, tuple):
        i_in, i_out, shape, factor = instruction(item)
        if i_in == -1:
            bias = module.array("bias", *shape) * float(factor)
            continue
        size = math.prod(shape)
        blocks[i_in, i_out] = _part(module, weight, at, size).reshape(shape) * float(factor)
        at += size
    if bias is None:
        module.ignore("bias")
        if module.record.get("bias") is not None and module.record.get("bias").size:
            raise ConvertError(f"{module.place} has biases without instructions")
    if at != weight.size:
        raise ConvertError(f"{module.place}.weight has {weight.size} numbers; {at} are used")
    return {key: block for key, block in blocks.items() if block.size}, bias


def _part(module: Module, weight: np.ndarray, at: int, size: int) -> np.ndarray:
    if at + size > weight.size:
        raise ConvertError(f"{module.place}.weight has {weight.size} numbers; more are needed")
    return weight[at : at + size]


def _merged(module: Module) -> tuple[Matrices, np.ndarray | None]:
    """Return base + scaling * A B of a linear map with low-rank changes."""
    scaling = module.number("scaling")
    matrices, bias = linear(module, "base")
    before, after = (unbiased(module, key) for key in ("lora_A", "lora_B"))
    for irrep in matrices.keys() & before.keys() & after.keys():
        matrices[irrep] = matrices[irrep] + scaling * before[irrep] @ after[irrep]
    return matrices, bias


def by_species(parent: Module, key: str) -> Matrices:
    """Return the matrices of a product with the one-hot species, [n_species, in, out]."""
    module = parent.module(key, "FullyConnectedTensorProduct")
    module.ignore("output_mask")
    ins, outs = (irreps(module.attribute(k, object)) for k in ("irreps_in1", "irreps_out"))
    _once(module, ins)
    _once(module, outs)
    weight, at, matrices = module.array("weight", -1), 0, {}
    for item in module.attribute("instructions", list, tuple):
        i_in, _, i_out, mode, _, factor, shape = instruction(item)
        _, degree, parity = ins[i_in]
        if mode != "uvw" or outs[i_out][1:] != ins[i_in][1:]:
            raise ConvertError(f"{module.place} is not a product with the species")
        size = math.prod(shape)
        block = _part(module, weight, at, size).reshape(shape).swapaxes(0, 1)
        # Of e3nn's wigner_3j(l, 0, l), a unit matrix of norm 1.
        matrices[name((degree, parity))] = block * float(factor) / math.sqrt(2 * degree + 1)
        at += size
    if at != weight.size:
        raise ConvertError(f"{module.place}.weight has {weight.size} numbers; {at} are used")
    return matrices


def _once(module: Module, found: Iterable[tuple[int, int, int]]) -> None:
    names = [irrep for _, *irrep in found]
    if any(irrep in names[:i] for i, irrep in enumerate(names)):
        raise ConvertError(
            f"{module.place}: an irrep occurs twice, which lammps-mace does not know"
        )


def channels_of(place: str, found: Sequence[tuple[int, int, int]]) -> tuple[int, str]:
    """Return how many channels all irreps have, and the irreps as text such as '0e+1o'.

    Raises:
        ConvertError: they have different numbers, or one occurs twice.
    """
    numbers = {count for count, _, _ in found}
    names: list[Irrep] = [(degree, parity) for _, degree, parity in found]
    text = " + ".join(f"{n}x{name(ir)}" for (n, *_), ir in zip(found, names, strict=True))
    if len(numbers) != 1 or len(set(names)) != len(names):
        raise ConvertError(
            f"{place} are {text}: lammps-mace runs models whose irreps all have the same number "
            "of channels"
        )
    return numbers.pop(), irrep_list(names)


def perceptron(parent: Module, key: str) -> dict[str, np.ndarray]:
    """Return the matrices of e3nn's FullyConnectedNet, to be applied with plain silu between."""
    module = parent.module(key, "FullyConnectedNet")
    matrices, factor = {}, 1.0
    names = list(module.record.modules)
    for index, key in enumerate(names):
        layer = module.module(key, "_Layer", "LoRAFCLayer")
        weight = _dense_weight(layer)
        if layer.kind == "LoRAFCLayer":
            layer = layer.module("base", "_Layer")
        h_in, var_in, var_out = (layer.number(k) for k in ("h_in", "var_in", "var_out"))
        matrices[f"matrix_{index}"] = factor * weight / math.sqrt(h_in * var_in)
        factor = math.sqrt(var_out)
        if ("act" in layer.record.modules) == (index == len(names) - 1):
            raise ConvertError(
                f"{layer.place}: lammps-mace knows silu after each layer but the last"
            )
        if "act" in layer.record.modules:
            function, constant = normalized_function(layer, "act")
            if function != "silu":
                raise ConvertError(
                    f"{layer.place} has the activation {function}; lammps-mace knows silu"
                )
            factor *= constant
        else:
            matrices[f"matrix_{index}"] *= factor
    return matrices


def _dense_weight(layer: Module) -> np.ndarray:
    """Return the weight [in, out] of a layer of e3nn's network."""
    if layer.kind == "_Layer":
        return layer.array("weight", -1, -1)
    change = layer.array("lora_A", -1, -1) @ layer.array("lora_B", -1, -1)
    return layer.module("base", "_Layer").array("weight", *change.shape) + (
        layer.number("scaling") * change
    )


def normalized_function(parent: Module, key: str) -> tuple[str, float]:
    """Return the name of an activation of e3nn and its factor."""
    module = parent.module(key, "normalize2mom")
    constant = module.number("cst")
    is_identity = module.attribute("_is_id", bool, default=False)
    return module.function("f"), 1.0 if is_identity else constant


def normed_network(parent: Module, key: str) -> dict[str, np.ndarray]:
    """Return the arrays of the library's RadialMLP: maps with biases, layer norms, silu."""
    net = parent.module(key, "RadialMLP").module("net", "Sequential")
    layers = list(net.record.modules)
    found: dict[str, np.ndarray] = {}
    for at, key in enumerate(layers):
        index, role = divmod(at, 3)
        if role == 0:
            weight, bias = dense(net, key)
            if bias is None:
                raise ConvertError(f"{net.place}.{key} has no biases")
            found |= {f"matrix_{index}": weight.T, f"bias_{index}": bias}
        elif role == 1:
            norm = net.module(key, "LayerNorm")
            found |= {f"norm_{index}#{k}": norm.array(k, -1) for k in ("weight", "bias")}
            found[f"norm_{index}#eps"] = np.array(norm.number("eps"))
        else:
            net.module(key, "SiLU")
    if len(layers) % 3 != 1:
        raise ConvertError(f"{net.place}: its last layer is not a linear map")
    return found


def dense(parent: Module, key: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return weight [out, in] of a linear map of torch, and its biases if it has any."""
    module = parent.module(key, "Linear", "LoRADenseLinear")
    if module.kind == "Linear":
        weight = module.array("weight", -1, -1)
        return weight, module.array("bias", len(weight)) if "bias" in module else None
    before, after = (unbiased_dense(module, key) for key in ("lora_A", "lora_B"))
    weight, bias = dense(module, "base")
    return weight + module.number("scaling") * after @ before, bias


def unbiased_dense(parent: Module, key: str) -> np.ndarray:
    """Return the weight [out, in] of a linear map of torch that must not have biases."""
    weight, bias = dense(parent, key)
    if bias is not None:
        raise ConvertError(f"{parent.place}.{key} has biases, which no MACE has there")
    return weight
