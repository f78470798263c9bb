"""A model of mlip of fewer elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.mlip.model import MlipModel
from lammps_mace.models.mlip.shapes import num_species
from lammps_mace.models.model import flatten, unflatten

_EMBEDDINGS = ("node_embedding_block#embed#embedding", "species_embedder#embed#embedding")
_BLOCKS = ("linear_by_species_block", "residual_block")
_GATES = ("species_wise_gate_weights", "species_wise_gate_bias")
_CONTRACTION = ("w", "LinearIndexwise", "linear_out")  # beginnings, of all bases
_PAIRS = "species_pair_scale"


def select_elements(model: MlipModel, species: Sequence[int]) -> MlipModel:
    """Return the model of these species alone, in ascending order as in all models of mlip.

    A model with a data set that knows none of them stays as it is.
    """
    config, info, rows = model.config, model.dataset_info, sorted(set(species))
    numbers = {info.atomic_numbers[row] for row in rows}
    chosen = _dataset_info(info, numbers)
    if chosen is None:
        return model
    # Embeddings are divided by the root of the number of species.
    factor = math.sqrt(len(rows) / num_species(config, info))
    params = {
        name: _selected(name, array, rows, factor) for name, array in flatten(model.params).items()
    }
    config = config.model_copy(update={"num_species": None})
    return replace(model, config=config, dataset_info=chosen, params=unflatten(params))


def _dataset_info(info: DatasetInfo, numbers: set[int]) -> DatasetInfo | None:
    maps = info.atomic_energies_map
    several = maps if isinstance(maps, tuple) else (maps,)
    left = tuple({z: energy for z, energy in one.items() if z in numbers} for one in several)
    if not all(left):
        return None
    return info.model_copy(
        update={"atomic_energies_map": left if isinstance(maps, tuple) else left[0]}
    )


def _selected(name: str, array: np.ndarray, rows: list[int], factor: float) -> np.ndarray:
    parts = name.split("#")
    if name.endswith(_EMBEDDINGS):
        # Not rounded again: a model that is evaluated in float64 may have float32 weights.
        return array[rows].astype(np.float64) * factor
    if parts[-1] == _PAIRS:
        return array[np.ix_(rows, rows)]
    of_contraction = "symmetric_contraction" in parts and (
        parts[parts.index("symmetric_contraction") + 1].startswith(_CONTRACTION)
    )
    if of_contraction or parts[-1] in _GATES or any(block in parts for block in _BLOCKS):
        return array[rows]
    return array
