"""Model: a network with its weights and the settings of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np

DELIMITER = "#"  # joins the levels of a parameter's name, as in mlip's checkpoints
Parameters = Mapping[str, Any]  # nested: module -> ... -> array
Dtype = Literal["float32", "float64"]
Config = TypeVar("Config")
Info = TypeVar("Info")


@dataclass(frozen=True)
class Model(Generic[Config, Info]):
    """A network with its weights, ready to be evaluated.

    Attributes:
        config: the network; its class tells the family, see :mod:`lammps_mace.models.families`.
        dataset_info: what the network knows of its data; None in families without.
        params: nested parameters, module -> ... -> numpy array, named as the family does.
        dtype: precision of the evaluation, "float32" or "float64".
        head: readout head and its set of E0, an index of ``heads`` of the model's facts.
        total_charge: total charge of the simulated system, e; None without charges.
        total_spin: total spin of the simulated system as the model counts it; None without.
        write_charges: let LAMMPS's atoms have the predicted charges.
        exact_radial: evaluate the radial network itself, never splines fitted to it.
        origin: what the weights came from.
        sha256: of X.json, which names that of the weights: the whole content; '' without files.
        weights_sha256: of X.safetensors.
    """

    config: Config
    dataset_info: Info
    params: Parameters
    dtype: Dtype = "float32"
    head: int = 0
    total_charge: int | None = None
    write_charges: bool = False
    exact_radial: bool = False
    origin: str = ""
    sha256: str = ""
    weights_sha256: str = ""
    total_spin: int | None = None

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
