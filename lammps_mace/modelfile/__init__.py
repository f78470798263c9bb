"""The model file: X.model (a stub for LAMMPS), X.json (everything but weights), X.safetensors."""

from __future__ import annotations

from lammps_mace.errors import ModelFileError
from lammps_mace.modelfile.loading import (
    load_member,
    load_model,
    load_models,
    only_model,
    read_parts,
)
from lammps_mace.modelfile.saving import (
    check_members,
    save_model,
    write_committee,
    write_model,
)
from lammps_mace.modelfile.sidecar import FORMAT_VERSION
from lammps_mace.modelfile.stub_reader import read_stub
from lammps_mace.models.model import DELIMITER, Dtype, Model, Parameters, flatten, unflatten

__all__ = [
    "DELIMITER",
    "FORMAT_VERSION",
    "Dtype",
    "Model",
    "ModelFileError",
    "Parameters",
    "check_members",
    "flatten",
    "load_member",
    "load_model",
    "load_models",
    "only_model",
    "read_parts",
    "read_stub",
    "save_model",
    "unflatten",
    "write_committee",
    "write_model",
]
