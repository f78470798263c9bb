"""What the kernels cannot compute of a description, by name, and where splines will not do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import e3nn_jax as e3nn
import jax

from lammps_mace.lowering.contraction import reached_irreps
from lammps_mace.models.description import (
    Density,
    LayerDescription,
    LinearMap,
    ModelDescription,
    SpeciesDependence,
)


def obstacle(description: ModelDescription) -> str | None:
    """Return what of a model cannot be lowered, None if all of it can."""
    if description.undescribed:
        return description.undescribed
    if description.deterministic_sums and jax.default_backend() != "cpu":
        return "deterministic_scatter_ops"
    if description.pair_energy is not None:
        return "an energy of pairs"
    for number, layer in enumerate(description.layers, start=1):
        if reason := _layer_obstacle(layer, is_first=number == 1):
            return f"{reason} of layer {number}"
    return None


def _layer_obstacle(layer: LayerDescription, is_first: bool) -> str | None:
    if isinstance(layer.normalization, Density):
        return "the density"
    if layer.message_gate is not None:
        return "the gate of the messages"
    if len(_channels(layer)) > 1:
        return "maps between different numbers of channels"
    if layer.skip is None and not is_first:
        return "the missing skip"
    if not all(_is_complete(linear, irreps) for linear, irreps in _needed_maps(layer)):
        return "an irrep without a map"
    return None


def _needed_maps(layer: LayerDescription) -> Iterator[tuple[LinearMap, Sequence[e3nn.Irrep]]]:
    """Give the maps that must have a matrix for each of these irreps."""
    yield layer.product, [irrep for _, irrep in layer.target]
    if layer.send is not None:
        yield layer.send, [irrep for _, irrep in layer.source]
    for linear in layer.mix:
        yield linear, reached_irreps(layer)


def _is_complete(linear: LinearMap, irreps: Sequence[e3nn.Irrep]) -> bool:
    return all(str(irrep) in linear for irrep in irreps)


def _channels(layer: LayerDescription) -> set[int]:
    """Return all numbers of channels of a layer's features; of the sums, those of a path."""
    maps = [linear for linear in (layer.send, layer.product, layer.skip) if linear is not None]
    sizes = {n for linear in maps for matrix in linear.values() for n in matrix.shape[1:]}
    mixed = {matrix.shape[2] for linear in layer.mix for matrix in linear.values()}
    return sizes | mixed | {layer.radial.matrix.shape[1] // len(layer.paths)}


def needs_exact_radial(description: ModelDescription) -> bool:
    """Return whether radial weights are evaluated themselves instead of splines fitted to them.

    In float64, for then a user wants every digit; and where splines cannot hold the weights: they
    depend on the species of a pair, or do not go to zero at the cutoff.
    """
    asked = description.exact_radial or description.dtype == "float64"
    return asked or any(map(_needs_exact, description.layers))


def _needs_exact(layer: LayerDescription) -> bool:
    radial = layer.radial
    shared = radial.dependence == SpeciesDependence.SHARED and radial.factor is None
    return not (shared and radial.zero_at_cutoff)
