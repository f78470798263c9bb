"""Lowering: turns a model into the fastest layers that the engine can run it with."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from lammps_mace.engine.layer import Layer
from lammps_mace.engine.lowered_model import LoweredModel
from lammps_mace.lowering.charge_settings import settings_of
from lammps_mace.lowering.layer import LayerLowering
from lammps_mace.lowering.pair_energy import PairEnergyLayer
from lammps_mace.lowering.reference_layer import reference_layers
from lammps_mace.lowering.supported import needs_exact_radial, obstacle
from lammps_mace.models import families
from lammps_mace.models.description import ModelDescription
from lammps_mace.models.model import Model
from lammps_mace.runtime.precision import full_precision

# Some operations of every layer can start as soon as the step does. Where more than eight can
# start at once, XLA's CPU runtime gives some of them to another thread.
_SINGLE_THREADED_LAYERS = 4


@full_precision()
def lower(model: Model, plain: bool = False, backend: str | None = None) -> LoweredModel:
    """Return a model as the engine runs it.

    Args:
        plain: run the network as it is defined, without the fast kernels; a reference.
        backend: of the kernels, "cpu", "gpu" or "xla"; None chooses for the device in use.
    """
    network = families.describe(model)
    layers, how, single_threaded = _layers(network, plain, backend)
    return LoweredModel(
        layers=layers,
        cutoff_angstrom=network.cutoff,
        dtype=np.dtype(network.dtype),
        energy_scale=network.scale,
        energy_shifts=np.append(network.atomic_energies + network.shift, 0.0),
        n_outputs=1 if network.charges is None else 2,
        charges=settings_of(network.charges),
        description=how,
        single_threaded=single_threaded,
    )


def _layers(
    network: ModelDescription, plain: bool, backend: str | None
) -> tuple[Sequence[Layer], str, bool]:
    """Return the layers, how they are computed, and whether XLA's CPU runtime uses one thread."""
    reason = "asked for" if plain else obstacle(network)
    if reason:
        plain_layers = _with_pair_energy(network, reference_layers(network))
        return plain_layers, f"plain network ({reason})", False
    backend = backend or {"cpu": "cpu", "gpu": "gpu"}.get(jax.default_backend(), "xla")
    layers = LayerLowering(network, backend, needs_exact_radial(network)).layers()
    knots = [layer.knots or 0 for layer in layers]
    radial = f"radial splines of {max(knots)} knots" if all(knots) else "exact radial network"
    few = len(layers) <= _SINGLE_THREADED_LAYERS and network.pair_energy is None
    single_threaded = few and all(layer.single_threaded for layer in layers)
    how = f"{backend} kernels, {radial}"
    return _with_pair_energy(network, layers), how, single_threaded


def _with_pair_energy(network: ModelDescription, layers: Sequence[Layer]) -> Sequence[Layer]:
    if network.pair_energy is None:
        return layers
    # The last layer does both passes at once, so that nothing of it has to be saved.
    *others, last = layers
    return [*others, PairEnergyLayer(last, network)]


def describe(model: Model) -> str:
    """Return how a model will be computed, without the work of lowering it."""
    description = families.describe(model)
    if reason := obstacle(description):
        return f"plain network, because the kernels do not know {reason}"
    exact = needs_exact_radial(description)
    return "kernels, " + ("exact radial network" if exact else "radial splines")
