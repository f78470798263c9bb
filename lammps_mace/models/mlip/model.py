"""Models of the mlip library."""

from __future__ import annotations

from typing import TypeAlias

from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.model import Model

MlipModel: TypeAlias = Model[MaceConfig, DatasetInfo]
