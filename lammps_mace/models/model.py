"""Model: a network with its weights and the settings of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
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
        head: readout head and its set of E0, 0 <= head < :func:`lammps_mace.modelfile.head_count`.
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
