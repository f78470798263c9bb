"""The families of models: whose configuration a model has decides who describes it."""

from __future__ import annotations

from collections.abc import Callable

from lammps_mace.models.description import ModelDescription
from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.describe import describe as describe_mlip
from lammps_mace.models.model import Model

_FAMILIES: dict[type, Callable[[Model], ModelDescription]] = {MaceConfig: describe_mlip}


def describe(model: Model) -> ModelDescription:
    """Return the description of a model.

    Raises:
        ValueError: the model lacks what its network needs.
    """
    return _FAMILIES[type(model.config)](model)
