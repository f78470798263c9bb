"""The families of models: the configuration of a model decides whose folder knows the rest."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.partial_charges import PartialCharges
from lammps_mace.models.torch.config import TorchMaceConfig

if TYPE_CHECKING:
    from lammps_mace.models.description import ModelDescription
    from lammps_mace.models.facts import ModelFacts
    from lammps_mace.models.model import Model
    from lammps_mace.models.network_energies import NetworkEnergies

_FOLDERS: dict[type, str] = {
    MaceConfig: "lammps_mace.models.mlip",
    TorchMaceConfig: "lammps_mace.models.torch",
}


def describe(model: Model) -> ModelDescription:
    """Return the description of a model.

    Raises:
        ValueError: the model lacks what its network needs.
    """
    return _of_family(model, "describe").describe(model)


def partial_charges(model: Model) -> PartialCharges | None:
    """Return what a model's charges are for, None if it predicts none; without JAX.

    Raises:
        ValueError: the model lacks what its charges need.
    """
    return _of_family(model, "partial_charges").partial_charges(model)


def facts(model: Model) -> ModelFacts:
    """Return what a model is for; without JAX."""
    return _of_family(model, "facts").facts(model)


def parameter_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter, its name's levels joined by '#'; without JAX.

    Raises:
        ValueError: the parts of the configuration do not fit each other.
    """
    return _of_family(model, "facts").parameter_shapes(model)


def check_settings(model: Model) -> None:
    """Check what a simulation sets against the network; without JAX.

    Raises:
        ValueError: there is no such head, charge or spin.
    """
    _of_family(model, "settings").check_settings(model)


def network_energies(model: Model) -> NetworkEnergies:
    """Return the whole network as the family defines it."""
    return _of_family(model, "energies").network_energies(model)


def select_elements(model: Model, species: Sequence[int]) -> Model:
    """Return the model of these species alone; without JAX.

    Args:
        species: indices of ``elements`` of the model's facts. A family may want them ascending,
            or keep more of them: the facts of the result tell.
    """
    return _of_family(model, "selection").select_elements(model, species)


def check_same_elements(models: Sequence[Model]) -> None:
    """Check that there is a model, and that all know the same elements; without JAX.

    Raises:
        ValueError: they do not.
    """
    if not models:
        raise ValueError("model: give a model file or several; the list is empty")
    known = [" ".join(facts(model).known_elements) for model in models]
    for number, names in enumerate(known):
        if set(names.split()) != set(known[0].split()):
            raise ValueError(
                f"model: number {number} of the list knows {names}, number 0 knows {known[0]}; "
                "give models that know the same elements"
            )


def _of_family(model: Model, name: str) -> Any:
    # Imported when asked for: a family's description imports JAX.
    return importlib.import_module(f"{_FOLDERS[type(model.config)]}.{name}")
