"""From a model to the engine that evaluates it."""

from __future__ import annotations

from lammps_mace.engine.engine import DEFAULT_OPTIONS, Engine, EngineOptions
from lammps_mace.lowering.lower import lower
from lammps_mace.models.model import Model


def build_engine(
    model: Model,
    plain: bool = False,
    backend: str | None = None,
    options: EngineOptions = DEFAULT_OPTIONS,
) -> Engine:
    """Return the engine of a model; plain and backend as in :func:`lower`."""
    return Engine(lower(model, plain, backend), options)
