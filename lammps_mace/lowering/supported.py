"""What the kernels cannot compute of a description, by name, and where splines will not do."""

from __future__ import annotations

import jax

from lammps_mace.models.description import (
    Density,
    LayerDescription,
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
        if reason := _layer_obstacle(layer):
            return f"{reason} of layer {number}"
    return None


def _layer_obstacle(layer: LayerDescription) -> str | None:
    if isinstance(layer.normalization, Density):
        return "the density"
    if layer.message_gate is not None:
        return "the gate of the messages"
    return None


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
