"""What the readers of both formats return, and the checks that they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lammps_mace.errors import ConvertError, UnusableFileError
from lammps_mace.modelfile.validation import Strict, validate
from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo


@dataclass(frozen=True)
class Checkpoint:
    """A model as it was trained.

    Attributes:
        config, dataset_info: the network.
        params: name, levels joined by '#' -> array, as :class:`lammps_mace.Mace` names them.
        written_by: library and version.
        notes: what was changed on the way, for the user.
    """

    config: MaceConfig
    dataset_info: DatasetInfo
    params: dict[str, np.ndarray]
    written_by: str
    notes: tuple[str, ...] = ()


# Keys that no MACE has. Two of them make an architecture.
_ARCHITECTURES = {
    "ViSNet": {"num_heads", "trainable_rbf", "attn_activation", "vecnorm_type", "radial_basis"},
    "NequIP": {
        "target_irreps", "node_irreps", "radial_mlp_variance_scale", "radial_net_n_hidden",
        "radial_net_nonlinearity", "radial_net_n_layers", "scalar_mlp_std",
        "use_residual_connection", "gate_nonlinearities",
    },
    "eSEN": {
        "sphere_channels", "hidden_channels", "edge_channels", "m_max", "basis_width_scalar",
        "cosine_cutoff", "norm_type", "act_type", "moe", "use_quaternion",
    },
}  # fmt: skip


def refuse_other_architectures(config: Mapping[str, Any]) -> None:
    """Raise :class:`ConvertError` when the configuration is not that of a MACE."""
    found = {name: len(keys & config.keys()) for name, keys in _ARCHITECTURES.items()}
    name = max(found, key=lambda one: found[one])
    if found[name] >= 2:
        raise ConvertError(f"this is a {name} model; lammps-mace runs MACE models only")


def parse(model: type[Strict], data: Mapping[str, Any], section: str) -> Strict:
    """Build ``model``; a :class:`ConvertError` names the section and the field that is wrong."""
    try:
        return validate(model, data, section, ".")
    except UnusableFileError as error:
        raise ConvertError(str(error)) from None
