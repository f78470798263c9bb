"""Reads a layer of a mace-torch checkpoint: an interaction and the product after it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lammps_mace.convert.torch.accounting import Module
from lammps_mace.convert.torch.gates import fold_gate
from lammps_mace.convert.torch.maps import (
    Matrices,
    by_species,
    channels_of,
    normed_network,
    perceptron,
    scalar_map,
    unbiased,
)
from lammps_mace.convert.torch.records import instruction, irreps
from lammps_mace.errors import ConvertError
from lammps_mace.models.blocks.irreps import Irrep, name
from lammps_mace.models.torch.config import Interaction

_ENDING = "InteractionBlock"
KINDS = tuple(f"{kind}{_ENDING}" for kind in Interaction)
Arrays = dict[str, np.ndarray]
Path = tuple[Irrep, int, Irrep]


def read_layer(interaction: Module, product: Module) -> tuple[dict[str, Any], Arrays, list[Path]]:
    """Return the settings of a layer, its arrays, and its products in the order of the file.

    Raises:
        ConvertError: lammps-mace does not know a part of it.
    """
    kind = Interaction(interaction.kind.removesuffix(_ENDING))
    settings: dict[str, Any] = {"interaction": kind.value}
    settings["avg_num_neighbors"] = interaction.number("avg_num_neighbors")
    settings["sent_channels"], settings["sent"] = _irreps(interaction, "edge_irreps", "linear_up")
    _, settings["messages"] = _irreps(interaction, "target_irreps")
    _, settings["target"] = _irreps(interaction, "hidden_irreps")
    arrays = _named("linear_up", unbiased(interaction, "linear_up"))
    paths, factors = _paths(interaction.module("conv_tp", "TensorProduct"))
    network = normed_network if kind.is_non_linear else perceptron
    weights = network(interaction, "conv_tp_weights")
    _scale_last(weights, np.repeat(factors, settings["sent_channels"]))
    arrays |= _inside("conv_tp_weights", weights)
    settings["radial_widths"] = _widths(weights)
    if kind.has_density:
        density = network(interaction, "density_fn")
        arrays |= _inside("density_fn", density)
        settings["density_widths"] = _widths(density)
    if kind.is_non_linear:
        arrays |= _non_linear(interaction, settings["messages"])
    else:
        arrays |= _named("linear", unbiased(interaction, "linear"))
        arrays |= _named("skip_tp", by_species(interaction, "skip_tp"))
    interaction.module("reshape", "reshape_irreps")
    if "density_fn" in interaction and not kind.has_density:
        raise ConvertError(f"{interaction.place} has a density_fn, which no {kind} has")
    return settings, {**arrays, **_product(product, kind, settings)}, paths


def _irreps(module: Module, key: str, linear: str = "") -> tuple[int, str]:
    """Return the channels and irreps of an attribute; old files have some in a map alone."""
    value = module.record.attributes.get(key)
    if value is None and linear:
        below = module.record.modules.get(linear)
        value = None if below is None else below.get("irreps_out")
    if value is None:
        raise ConvertError(f"{module.place} has no {key!r}: the file is damaged or holds no MACE")
    return channels_of(f"{module.place}.{key}", irreps(value))


def _paths(module: Module) -> tuple[list[Path], list[float]]:
    """Return the products of a convolution and their factors."""
    module.ignore("weight", "output_mask")
    own = module.record.get("weight")
    if own is not None and own.size:
        raise ConvertError(f"{module.place} has weights of its own; a MACE makes them of distances")
    keys = "irreps_in1", "irreps_in2", "irreps_out"
    one, two, out = (irreps(module.attribute(key, object)) for key in keys)
    paths, factors = [], []
    for item in module.attribute("instructions", list, tuple):
        i_one, i_two, i_out, mode, has_weight, factor, _ = instruction(item)
        if mode != "uvu" or has_weight is not True or two[i_two][0] != 1:
            raise ConvertError(f"{module.place} is not the convolution of a MACE")
        paths.append((one[i_one][1:], two[i_two][1], out[i_out][1:]))
        factors.append(float(factor))
    return paths, factors


def _scale_last(network: Arrays, factors: np.ndarray) -> None:
    """Multiply the results of a network by factors."""
    last = len([key for key in network if key.startswith("matrix_")]) - 1
    for key in (f"matrix_{last}", f"bias_{last}"):
        if key in network:
            network[key] = network[key] * factors


def _widths(network: Arrays) -> tuple[int, ...]:
    """Return the widths of the hidden layers."""
    shapes = [array.shape for key, array in network.items() if key.startswith("matrix_")]
    return tuple(shape[1] for shape in shapes[:-1])


def _non_linear(module: Module, messages: str) -> Arrays:
    """Return the arrays that only the non-linear interaction has."""
    arrays = {key: module.scalar(key) for key in ("alpha", "beta")}
    for side in ("source_embedding", "target_embedding"):
        arrays[side] = scalar_map(module, side)
    after = fold_gate(module, unbiased(module, "linear_2"), messages)
    skip = {irrep: matrix[None] for irrep, matrix in unbiased(module, "skip_tp").items()}
    return {
        **arrays,
        **_named("linear", unbiased(module, "linear_1")),
        **_named("linear_res", unbiased(module, "linear_res")),
        **_named("linear_2", after),
        **_named("skip_tp", skip),
    }


def _product(module: Module, kind: Interaction, settings: dict[str, Any]) -> Arrays:
    """Return the arrays of a product; its settings are added."""
    if kind.has_skip and not module.attribute("use_sc", bool):
        raise ConvertError(f"{module.place}.use_sc is false, but {kind} has a skip connection")
    settings["agnostic_product"] = module.attribute("use_agnostic_product", bool, default=False)
    contractions = module.module("symmetric_contractions", "SymmetricContraction")
    target = irreps(contractions.attribute("irreps_out", object))
    if channels_of(contractions.place, target)[1] != settings["target"]:
        raise ConvertError(f"{contractions.place} returns other irreps than {settings['target']}")
    arrays: Arrays = {}
    counts = []
    parts = contractions.modules("contractions", "Contraction")
    for (_, *irrep), part in zip(target, parts, strict=False):
        found = _contraction(part, irrep[0])
        counts.append(tuple(array.shape[-1] for key, array in found.items() if key[0] == "U"))
        arrays |= _inside(f"contraction#{name((irrep[0], irrep[1]))}", found)
    settings["contraction"] = tuple(counts)
    return {**arrays, **_named("product", unbiased(module, "linear"))}


def _contraction(module: Module, degree: int) -> Arrays:
    """Return the coupling tensors [2l+1, dim, ..., n] and weights of a target irrep."""
    correlation = int(module.number("correlation"))
    module.ignore("graph_opt_main", "contractions_weighting", "contractions_features")
    module.ignore(*(key for key in module.record.buffers if key.endswith("_zeroed")))
    weights = module.module("weights", "ParameterList")
    found: Arrays = {}
    for order in range(1, correlation + 1):
        coupling = module.array(f"U_matrix_{order}")
        if not degree:
            coupling = coupling[None]
        if coupling.ndim != order + 2 or len(coupling) != 2 * degree + 1:
            raise ConvertError(f"{module.place}.U_matrix_{order} has another shape than a MACE's")
        found[f"U{order}"] = coupling
        # The list begins with the second highest power and ends with the first.
        found[f"weights{order}"] = (
            module.array("weights_max") if order == correlation
            else weights.array(str(correlation - 1 - order))
        )  # fmt: skip
    return found


def _named(name: str, matrices: Matrices) -> Arrays:
    return {f"{name}#{irrep}": matrix for irrep, matrix in matrices.items()}


_inside = _named
