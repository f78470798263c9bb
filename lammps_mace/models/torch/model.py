"""Models of mace-torch."""

from __future__ import annotations

from typing import TypeAlias

from lammps_mace.models.model import Model
from lammps_mace.models.torch.config import TorchMaceConfig

TorchModel: TypeAlias = Model[TorchMaceConfig, None]
