"""Names what the kernels cannot compute, and tells where splines cannot replace the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import e3nn_jax as e3nn
import jax

from lammps_mace.lowering.contraction import reached_irreps
from lammps_mace.lowering.edges import sent_irreps
from lammps_mace.models.description import (
    Density,
    LayerDescription,
    LinearMap,
    ModelDescription,
    RadialWeights,
)


def obstacle(description: ModelDescription) -> str | None:
    """Return the name of a part of a model that cannot be lowered, None if there is none."""
    if description.undescribed:
        return description.undescribed
    if description.deterministic_sums and jax.default_backend() != "cpu":
        return "deterministic_scatter_ops"
    for number, layer in enumerate(description.layers, start=1):
        if reason := _layer_obstacle(layer):
            return f"{reason} of layer {number}"
    return None


def _layer_obstacle(layer: LayerDescription) -> str | None:
    if not all(_is_complete(linear, irreps) for linear, irreps in _needed_maps(layer)):
        return "an irrep without a map"
    return None


def _needed_maps(layer: LayerDescription) -> Iterator[tuple[LinearMap, Sequence[e3nn.Irrep]]]:
    """Yield maps, each with the irreps for which it must have a matrix."""
    yield layer.product, [irrep for _, irrep in layer.target]
    if layer.send is not None:
        yield layer.send, [irrep for _, irrep in sent_irreps(layer)]
    for linear in layer.mix:
        yield linear, reached_irreps(layer)
    if layer.message_gate is not None:
        yield layer.message_gate.after, reached_irreps(layer)


def _is_complete(linear: LinearMap, irreps: Sequence[e3nn.Irrep]) -> bool:
    return all(str(irrep) in linear for irrep in irreps)


def needs_exact_radial(description: ModelDescription) -> bool:
    """Return whether the radial functions are evaluated instead of splines fitted to them.

    So where that is asked for, and where splines cannot represent the weights: these have factors
    of pairs of species, or do not go to zero at the cutoff.
    """
    return description.exact_radial or any(map(_needs_exact, _radial_weights(description)))


def _radial_weights(description: ModelDescription) -> Iterator[RadialWeights]:
    for layer in description.layers:
        yield layer.radial
        if isinstance(layer.normalization, Density):
            yield layer.normalization.radial


def _needs_exact(radial: RadialWeights) -> bool:
    return radial.factor is not None or not radial.zero_at_cutoff
