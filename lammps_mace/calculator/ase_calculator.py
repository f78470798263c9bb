"""Calculator: a model for ASE, with the numbers and the speed that it has in LAMMPS."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

try:
    from ase.calculators import calculator as ase_calculators
    from ase.stress import full_3x3_to_voigt_6_stress
except ImportError as error:
    raise ImportError("lammps_mace.Calculator needs ASE: pip install ase") from error

from lammps_mace.calculator.structure_engine import EngineEvaluation, StructureEngine
from lammps_mace.modelfile import Model, load_model

if TYPE_CHECKING:
    from ase import Atoms


_PROPERTIES = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]
_OF_CHARGES = ["charges", "dipole"]


class Calculator(ase_calculators.Calculator):
    """Energies, forces and stress of a model, in ASE's units and signs: eV, Å.

    The engine is that of LAMMPS, in the precision of the model file. It compiles at the first call,
    and again only for a new element, or for more atoms or pairs than there is room for.

    Properties: energy, free_energy (the same), energies, forces; stress, for a cell of three
    vectors; stresses, that of LAMMPS's `compute stress/atom` over the volume of the cell, which
    add up to stress; charges, of models that predict them, and dipole, where nothing is periodic
    and the total charge is 0.

    Args:
        model: the path of X.model, or a model.
        skin: Å; pairs are searched anew once an atom has moved more than half of it, or the cell
            has changed. It changes no result.

    Raises:
        ValueError: the model file or the skin cannot be used, or JAX has no device.
    """

    def __init__(self, model: Model | str | os.PathLike[str], skin: float = 1.0) -> None:
        if not 0 <= skin < np.inf:
            raise ValueError(f"skin={skin}: give a length in Å, 0 or more")
        super().__init__()
        loaded = model if isinstance(model, Model) else load_model(model)
        self._engine = StructureEngine(loaded, skin)
        self.implemented_properties = [*_PROPERTIES, *(_OF_CHARGES * self._engine.has_charges)]
        self.ignored_changes = {"initial_charges", "initial_magmoms"}
        self.parameters["model"] = loaded.origin if isinstance(model, Model) else os.fspath(model)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = ase_calculators.all_changes,
    ) -> None:
        """Put the properties of ``atoms`` into ``results``.

        Raises:
            ValueError: the structure cannot be evaluated; see :func:`lammps_mace.evaluate`.
            ase.calculators.calculator.CalculationFailed: a result is not finite.
        """
        super().calculate(atoms, properties, system_changes)
        given: Any = self.atoms  # a copy
        evaluation = self._engine.evaluate(given)
        _check(evaluation, given)
        self.results = self._results(given, evaluation, "stresses" in properties)

    def _results(
        self, atoms: Atoms, evaluation: EngineEvaluation, with_stresses: bool
    ) -> dict[str, Any]:
        results: dict[str, Any] = {
            "energy": evaluation.energy,
            "free_energy": evaluation.energy,
            "energies": evaluation.energies,
            "forces": evaluation.forces,
        }
        if atoms.cell.rank == 3:
            volume = atoms.get_volume()
            results["stress"] = full_3x3_to_voigt_6_stress(-evaluation.virial / volume)
            if with_stresses:
                stresses = full_3x3_to_voigt_6_stress(-evaluation.virials() / volume)
                results["stresses"] = stresses
        if evaluation.charges is not None:
            results["charges"] = evaluation.charges
            if not atoms.pbc.any() and self._engine.model.total_charge == 0:
                results["dipole"] = evaluation.charges @ atoms.positions
        return results


def _check(evaluation: EngineEvaluation, atoms: Atoms) -> None:
    """Raise CalculationFailed if a result is not finite."""
    finite = np.isfinite(evaluation.forces).all(axis=1) & np.isfinite(evaluation.energies)
    if len(bad := np.flatnonzero(~finite)):
        first = int(bad[0])
        raise ase_calculators.CalculationFailed(
            f"the energy or force of atom {first} ({atoms.symbols[first]}) is not finite, and of "
            f"{len(bad)} atoms in all: are two atoms in one place?"
        )
