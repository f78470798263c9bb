"""What a user may choose when a checkpoint is converted, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lammps_mace.models.model import Dtype, Model


@dataclass(frozen=True)
class Options:
    """See :func:`lammps_mace.convert.convert`."""

    dtype: Dtype = "float32"
    head: str | None = None
    total_charge: int | None = None
    total_spin: int | None = None
    write_charges: bool = False
    exact_radial: bool = False


DEFAULT_OPTIONS = Options()


class Converted(NamedTuple):
    """A checkpoint as a model.

    Attributes:
        model: with the settings of the simulation.
        summary: lines on what was read.
        notes: lines on what was chosen or changed on the way.
    """

    model: Model
    summary: tuple[str, ...]
    notes: tuple[str, ...]
