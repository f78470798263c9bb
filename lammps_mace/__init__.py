"""lammps-mace: JAX/Flax MACE potentials inside LAMMPS.

Public names are imported on first use, because LAMMPS imports this package when it looks for
plugins, and that must not cost the import of JAX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lammps_mace.calculator.ase_calculator import Calculator as Calculator
    from lammps_mace.errors import ConvertError as ConvertError
    from lammps_mace.errors import ModelFileError as ModelFileError
    from lammps_mace.errors import UnusableFileError as UnusableFileError
    from lammps_mace.evaluation import Evaluation as Evaluation
    from lammps_mace.evaluation import evaluate as evaluate
    from lammps_mace.graph import Graph as Graph
    from lammps_mace.modelfile import Model as Model
    from lammps_mace.modelfile import load_model as load_model
    from lammps_mace.modelfile import save_model as save_model
    from lammps_mace.models.mlip.config import MaceConfig as MaceConfig
    from lammps_mace.models.mlip.dataset import DatasetInfo as DatasetInfo
    from lammps_mace.models.mlip.embedding import MaceEmbeddingBlock as MaceEmbeddingBlock
    from lammps_mace.models.mlip.layer import MaceLayer as MaceLayer
    from lammps_mace.models.mlip.mace import Mace as Mace

_HOME = {
    "Calculator": "lammps_mace.calculator.ase_calculator",
    "MaceConfig": "lammps_mace.models.mlip.config",
    "DatasetInfo": "lammps_mace.models.mlip.dataset",
    "ConvertError": "lammps_mace.errors",
    "ModelFileError": "lammps_mace.errors",
    "UnusableFileError": "lammps_mace.errors",
    "Evaluation": "lammps_mace.evaluation",
    "evaluate": "lammps_mace.evaluation",
    "Graph": "lammps_mace.graph",
    "Mace": "lammps_mace.models.mlip.mace",
    "MaceEmbeddingBlock": "lammps_mace.models.mlip.embedding",
    "MaceLayer": "lammps_mace.models.mlip.layer",
    "Model": "lammps_mace.modelfile",
    "load_model": "lammps_mace.modelfile",
    "save_model": "lammps_mace.modelfile",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lammps_mace' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
