"""What a model knows about the data it was trained on: cutoffs, atomic energies, scalings."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Strict, field_validator, model_validator

from lammps_mace.models.elements import SYMBOLS
from lammps_mace.models.options import (
    Flag,
    Name,
    PositiveFloat,
    StrictModel,
    TotalCharge,
    Whole,
)

_MOST_MAPS = 256  # data sets
_NEAREST = 0.9  # of the cutoff


def _whole_number(value: Any) -> Any:
    # JSON has only text as keys.
    is_text = isinstance(value, str) and value.isascii() and value.isdecimal()
    return int(value) if is_text and len(value) <= 3 and str(int(value)) == value else value


Number = Annotated[Whole, BeforeValidator(_whole_number)]
Energy = Annotated[float, Strict(), Field(ge=-1e12, le=1e12, allow_inf_nan=False)]  # eV
EnergyMap = Annotated[dict[Number, Energy], Field(max_length=len(SYMBOLS))]
EnergyMaps = Annotated[tuple[EnergyMap, ...], Field(max_length=_MOST_MAPS)]
Cutoff = Annotated[float, Strict(), Field(ge=0.01, le=1000.0)]  # Å
Names = Annotated[tuple[Name, ...], Field(max_length=_MOST_MAPS)]


class DatasetInfo(StrictModel):
    """Statistics of the training data that the network needs, named as in mlip.

    Types and bounds are as strict as in :class:`MaceConfig`: energies lie within 1e12 eV, other
    real numbers are 1e-6 to 1e6.

    Attributes:
        dataset_name: name, or one name per data set when there are several, up to 256; each of up
            to 200 printable characters.
        num_graphs: number of structures behind the statistics.
        atomic_energies_map: atomic number -> isolated-atom energy in eV, or one map per data set.
        total_charge_set: total charges (in e) that occur in the data, up to 1000 of them.
        graph_cutoff_angstrom: neighbours closer than this exchange messages, 0.01 to 1000 Å.
        long_range_cutoff_angstrom: cutoff of the Coulomb sum, 0.01 to 1000 Å.
        avg_num_neighbors: mean number of neighbours, divisor of the messages.
        avg_r_min_angstrom: mean nearest distance, Å; at most 0.9 times the cutoff.
        scaling_mean, scaling_stdev: network energies are multiplied by the latter (eV), then
            the former (eV) is added, per atom, before the atomic energies.
        atomic_energies_removed: whether the training energies had the atomic energies removed.
    """

    dataset_name: Name | Names | None = None
    num_graphs: Annotated[Whole, Field(gt=0, lt=2**53)] | None = None
    atomic_energies_map: EnergyMap | EnergyMaps
    total_charge_set: Annotated[frozenset[TotalCharge], Field(max_length=1000)] | None = None
    graph_cutoff_angstrom: Cutoff
    long_range_cutoff_angstrom: Cutoff | None = None
    avg_num_neighbors: PositiveFloat = 1.0
    avg_r_min_angstrom: PositiveFloat | None = None
    scaling_mean: Energy = 0.0
    scaling_stdev: Energy = 1.0
    atomic_energies_removed: Flag = False

    @field_validator("atomic_energies_map")
    @classmethod
    def _check_atomic_numbers(cls, value: Any) -> Any:
        maps = value if isinstance(value, tuple) else (value,)
        if not maps or not all(maps):
            raise ValueError("atomic_energies_map must name at least one element")
        for number in (z for one in maps for z in one):
            if not 1 <= number <= len(SYMBOLS):
                raise ValueError(
                    f"atomic_energies_map: {number} is not an atomic number (1 to {len(SYMBOLS)})"
                )
        return value

    @model_validator(mode="after")
    def _check_together(self) -> DatasetInfo:
        if self.avg_r_min_angstrom is not None:
            self.check_mean_distance("avg_r_min_angstrom", self.avg_r_min_angstrom)
        several = isinstance(self.atomic_energies_map, tuple)
        names = self.dataset_name
        if names is not None and several != isinstance(names, tuple):
            raise ValueError("dataset_name and atomic_energies_map must both be lists, or neither")
        if several and names is not None:
            if len(names) != len(self.atomic_energies_map):
                raise ValueError(
                    f"dataset_name has {len(names)} entries, atomic_energies_map "
                    f"{len(self.atomic_energies_map)}; give one map per data set"
                )
            if len(set(names)) != len(names):
                raise ValueError(f"dataset_name must not repeat a name: {names!r}")
        return self

    def check_mean_distance(self, name: str, value: float) -> None:
        """Check a mean nearest distance (Å), from which on the radial basis is normalised.

        Raises:
            ValueError: there is next to nothing of the basis between it and the cutoff.
        """
        if value > _NEAREST * self.graph_cutoff_angstrom:
            raise ValueError(
                f"{name}={value:g} must be at most {_NEAREST:g} times graph_cutoff_angstrom="
                f"{self.graph_cutoff_angstrom:g}"
            )

    @property
    def atomic_numbers(self) -> tuple[int, ...]:
        """Atomic numbers in species order: species index = position in this sorted tuple."""
        maps = self.atomic_energies_map
        maps = maps if isinstance(maps, tuple) else (maps,)
        return tuple(sorted({number for one in maps for number in one}))

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols in species order."""
        return tuple(SYMBOLS[number - 1] for number in self.atomic_numbers)

    @property
    def total_charges(self) -> tuple[int, ...]:
        """Total charges of the training data in ascending order; empty when unknown."""
        return tuple(sorted(self.total_charge_set or ()))

    def atomic_energies(self, head: int = 0) -> dict[int, float]:
        """Atomic number -> isolated-atom energy in eV of data set ``head``."""
        maps = self.atomic_energies_map
        return maps[head] if isinstance(maps, tuple) else maps

    def known_elements(self, head: int = 0) -> tuple[str, ...]:
        """Return the chemical symbols, in species order, that data set ``head`` has energies of."""
        energies = self.atomic_energies(head)
        return tuple(SYMBOLS[number - 1] for number in self.atomic_numbers if number in energies)
