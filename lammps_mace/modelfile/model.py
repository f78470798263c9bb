"""Model: a network with its weights and the settings of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo

DELIMITER = "#"  # joins the levels of a parameter's name, as in mlip's checkpoints
Parameters = Mapping[str, Any]  # nested: module -> ... -> array
Dtype = Literal["float32", "float64"]


@dataclass(frozen=True)
class Model:
    """A network with its weights, ready to be evaluated.

    Attributes:
        config, dataset_info: the network.
        params: nested parameters, module -> ... -> numpy array, named as in mlip.
        dtype: precision of the evaluation, "float32" or "float64".
        head: readout head and its set of E0, 0 <= head < :func:`head_count`.
        total_charge: total charge of the simulated system, e; None without charges.
        write_charges: let LAMMPS's atoms have the predicted charges.
        exact_radial: evaluate the radial network itself, never splines fitted to it.
        origin: what the weights came from.
        sha256: of X.json, which names that of the weights: the whole content; '' without files.
        weights_sha256: of X.safetensors.
    """

    config: MaceConfig
    dataset_info: DatasetInfo
    params: Parameters
    dtype: Dtype = "float32"
    head: int = 0
    total_charge: int | None = None
    write_charges: bool = False
    exact_radial: bool = False
    origin: str = ""
    sha256: str = ""
    weights_sha256: str = ""

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return sum(array.size for array in flatten(self.params).values())


def flatten(params: Parameters, prefix: str = "") -> dict[str, np.ndarray]:
    """Return one dictionary, nested names joined by '#'."""
    flat: dict[str, np.ndarray] = {}
    for name, value in params.items():
        key = f"{prefix}{DELIMITER}{name}" if prefix else name
        flat.update(flatten(value, key) if isinstance(value, Mapping) else {key: np.asarray(value)})
    return flat


def unflatten(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Inverse of :func:`flatten`."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, name = key.split(DELIMITER)
        level = nested
        for module in path:
            level = level.setdefault(module, {})
        level[name] = value
    return nested


def head_count(config: MaceConfig, dataset_info: DatasetInfo) -> int:
    """Return how many heads can be selected: readouts or, with one readout, sets of E0."""
    maps = dataset_info.atomic_energies_map
    if not isinstance(maps, tuple):
        return config.num_readout_heads
    return len(maps) if config.num_readout_heads == 1 else min(config.num_readout_heads, len(maps))


def check_settings(
    config: MaceConfig,
    info: DatasetInfo,
    *,
    head: int,
    total_charge: int | None,
    write_charges: bool,
) -> None:
    """Check what a simulation sets against the network.

    Raises:
        ValueError: there is no such head or charge, or the two halves of the network disagree.
    """
    count = head_count(config, info)
    if not 0 <= head < count:
        raise ValueError(f"head={head} must be 0 to {count - 1}")
    if write_charges and not config.predict_partial_charges:
        raise ValueError("write_charges: the network predicts none (predict_partial_charges)")
    known = info.total_charges
    if total_charge is not None and known and total_charge not in known:
        raise ValueError(
            f"total_charge={total_charge}: the model was trained for total charges {list(known)}"
        )
    if config.avg_r_min is not None and config.avg_r_min >= info.graph_cutoff_angstrom:
        raise ValueError(
            f"avg_r_min={config.avg_r_min:g} must be less than graph_cutoff_angstrom="
            f"{info.graph_cutoff_angstrom:g}"
        )
