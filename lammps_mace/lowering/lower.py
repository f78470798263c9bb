"""Lowering: turn a model into the layers that the engine runs, the fastest that it allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax

from lammps_mace.engine.layer import Layer
from lammps_mace.lowering.layer import LayerLowering
from lammps_mace.lowering.reference_layer import reference_layers
from lammps_mace.lowering.supported import needs_exact_radial, obstacle
from lammps_mace.models import families
from lammps_mace.models.model import Model

# Some operations of every layer can start with the step; of more than eight that can start at
# once XLA's CPU runtime gives some to another thread.
_SINGLE_THREADED_LAYERS = 4


class Lowered(NamedTuple):
    """A model as layers.

    Attributes:
        layers: in order.
        how: how they are computed, one line for people.
        single_threaded: XLA's CPU runtime runs all operations in the thread that calls it.
    """

    layers: Sequence[Layer]
    how: str
    single_threaded: bool


def lower(model: Model, plain: bool = False, backend: str | None = None) -> Lowered:
    """Return the layers of a model.

    Args:
        plain: run the network as it is defined; a reference.
        backend: of the kernels, "cpu", "gpu" or "xla"; None chooses for the device in use.
    """
    description = families.describe(model)
    reason = "asked for" if plain else obstacle(description)
    if reason:
        return Lowered(reference_layers(description), f"plain network ({reason})", False)
    backend = backend or {"cpu": "cpu", "gpu": "gpu"}.get(jax.default_backend(), "xla")
    layers = LayerLowering(description, backend, needs_exact_radial(description)).layers()
    knots = [layer.knots or 0 for layer in layers]
    radial = f"radial splines of {max(knots)} knots" if all(knots) else "exact radial network"
    single_threaded = len(layers) <= _SINGLE_THREADED_LAYERS and all(
        layer.single_threaded for layer in layers
    )
    return Lowered(layers, f"{backend} kernels, {radial}", single_threaded)


def describe(model: Model) -> str:
    """Return how a model will be computed, without the work of lowering it."""
    description = families.describe(model)
    if reason := obstacle(description):
        return f"plain network, for kernels do not know {reason}"
    exact = needs_exact_radial(description)
    return "kernels, " + ("exact radial network" if exact else "radial splines")
