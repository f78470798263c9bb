"""A whole network of mlip at once."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from lammps_mace.graph import Graph
from lammps_mace.models.mlip.mace import Mace, atomic_energy_table
from lammps_mace.models.mlip.model import MlipModel
from lammps_mace.models.network_energies import NetworkEnergies


def network_energies(model: MlipModel) -> NetworkEnergies:
    """Return the network with the head that a model selects."""
    # E0 may be thousands of eV: added in float64 on the host, not in the network's precision.
    config = model.config.model_copy(update={"add_atomic_energies": False})
    network = Mace(config, model.dataset_info)
    energies = np.array(atomic_energy_table(model.dataset_info, model.head))
    if not model.config.add_atomic_energies:
        energies = np.zeros_like(energies)

    def function(parameters: Any, graph: Graph) -> tuple[jax.Array, jax.Array | None]:
        features = network.apply({"params": parameters}, graph).nodes.features
        return features["energy"], features.get("partial_charges")

    return NetworkEnergies(dict(model.params), energies, function)
