"""A model of mace-torch of fewer elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lammps_mace.models.model import DELIMITER, flatten, unflatten
from lammps_mace.models.torch.config import TorchMaceConfig
from lammps_mace.models.torch.model import TorchModel

_OF_MODEL = {"node_embedding": 0, "atomic_energies": 1}


def select_elements(model: TorchModel, species: Sequence[int]) -> TorchModel:
    """Return the model of these species alone, in this order."""
    config, rows = model.config, list(species)
    params = {
        name: array if axis is None else np.take(array, rows, axis)
        for name, array in flatten(model.params).items()
        for axis in [_species_axis(config, name)]
    }
    numbers = tuple(config.atomic_numbers[row] for row in rows)
    chosen = config.model_copy(update={"atomic_numbers": numbers})
    return replace(model, config=chosen, params=unflatten(params))


def _species_axis(config: TorchMaceConfig, name: str) -> int | None:
    """Return the axis of an array that counts species, None if there is none."""
    block, *inner = name.split(DELIMITER)
    if not block.startswith("layers_"):
        return 0 if inner[-1:] == ["radii"] else _OF_MODEL.get(block)
    layer = config.layers[int(block.removeprefix("layers_"))]
    if inner[0] in ("source_embedding", "target_embedding"):
        return 0
    if inner[0] == "skip_tp":
        return None if layer.interaction.is_non_linear else 0
    if inner[0] == "contraction" and inner[-1].startswith("weights"):
        return None if layer.agnostic_product else 0
    return None
