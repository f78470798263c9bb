"""Calculator: a model for ASE, with the numbers and the speed that it has in LAMMPS."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

try:
    from ase.calculators import calculator as ase_calculators
    from ase.stress import full_3x3_to_voigt_6_stress
except ImportError as error:
    raise ImportError(
        "lammps_mace.Calculator needs ASE: pip install 'lammps-mace[tools]'"
    ) from error

from lammps_mace.calculator.structure_engine import EngineEvaluation, StructureEngine
from lammps_mace.modelfile import Model, load_models
from lammps_mace.models import families

if TYPE_CHECKING:
    from ase import Atoms


_PROPERTIES = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]
_OF_CHARGES = ["charges", "dipole"]
_OF_SEVERAL = ["energy_deviation", "force_deviation"]
_Given: TypeAlias = Model | str | os.PathLike[str]


class Calculator(ase_calculators.Calculator):
    """Energies, forces and stress of a model, in ASE's units and signs: eV, Å.

    The engine is that of LAMMPS, in the precision of the model file. It compiles at the first call,
    and again only for a new element, or for more atoms or pairs than there is room for.

    Properties: energy, free_energy (the same), energies, forces; stress, for a cell of three
    vectors; stresses, that of LAMMPS's `compute stress/atom` over the volume of the cell, which
    add up to stress; charges, of models that predict them, and dipole, where nothing is periodic
    and the total charge is 0.

    Of several models these are the means, without charges and dipole, and there are
    energy_deviation [n_atoms], eV, the standard deviation of the models' energies of an atom, and
    force_deviation [n_atoms], eV/Å, sqrt(<|F - <F>|^2>) of their forces on it.

    Args:
        model: the path of X.model, which may hold a committee, or a model; or several of them,
            which know the same elements.
        skin: Å; pairs are searched anew once an atom has moved more than half of it, or the cell
            has changed. It changes no result.

    Raises:
        ValueError: a model file or the skin cannot be used, the models do not fit each other, or
            JAX has no device.
    """

    def __init__(self, model: _Given | Sequence[_Given], skin: float = 1.0) -> None:
        if not 0 <= skin < np.inf:
            raise ValueError(f"skin={skin}: give a length in Å, 0 or more")
        super().__init__()
        given = [model] if isinstance(model, Model | str | os.PathLike) else list(model)
        models = [one for part in given for one in _models_of(part)]
        families.check_same_elements(models)
        self._engines = [StructureEngine(one, skin) for one in models]
        if len(models) > 1:
            more = _OF_SEVERAL
        else:
            more = _OF_CHARGES if self._engines[0].has_charges else []
        self.implemented_properties = [*_PROPERTIES, *more]
        self.ignored_changes = {"initial_charges", "initial_magmoms"}
        names = [x.origin if isinstance(x, Model) else os.fspath(x) for x in given]
        self.parameters["model"] = names if len(names) > 1 else names[0]

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
        evaluations = [engine.evaluate(given) for engine in self._engines]
        for evaluation in evaluations:
            _check(evaluation, given)
        self.results = _results(given, evaluations, "stresses" in properties)
        if len(evaluations) > 1:
            self.results.update(_deviations(evaluations))
        elif (charges := evaluations[0].charges) is not None:
            self.results["charges"] = charges
            if not given.pbc.any() and self._engines[0].model.total_charge == 0:
                self.results["dipole"] = charges @ given.positions


def _models_of(given: _Given) -> list[Model]:
    return [given] if isinstance(given, Model) else load_models(given)


def _results(
    atoms: Atoms, evaluations: Sequence[EngineEvaluation], with_stresses: bool
) -> dict[str, Any]:
    """Return the means of what the models say."""
    energy = float(np.mean([one.energy for one in evaluations]))
    results: dict[str, Any] = {
        "energy": energy,
        "free_energy": energy,
        "energies": np.mean([one.energies for one in evaluations], axis=0),
        "forces": np.mean([one.forces for one in evaluations], axis=0),
    }
    if atoms.cell.rank == 3:
        volume = atoms.get_volume()
        virial = np.mean([one.virial for one in evaluations], axis=0)
        results["stress"] = full_3x3_to_voigt_6_stress(-virial / volume)
        if with_stresses:
            virials = np.mean([one.virials() for one in evaluations], axis=0)
            results["stresses"] = full_3x3_to_voigt_6_stress(-virials / volume)
    return results


def _deviations(evaluations: Sequence[EngineEvaluation]) -> dict[str, np.ndarray]:
    """Return how far the models are apart, as DeePMD-kit defines it."""
    variance = np.var([one.forces for one in evaluations], axis=0)
    return {
        "energy_deviation": np.std([one.energies for one in evaluations], axis=0),
        "force_deviation": np.sqrt(variance.sum(axis=1)),
    }


def _check(evaluation: EngineEvaluation, atoms: Atoms) -> None:
    """Raise CalculationFailed if a result is not finite."""
    finite = np.isfinite(evaluation.forces).all(axis=1) & np.isfinite(evaluation.energies)
    if len(bad := np.flatnonzero(~finite)):
        first = int(bad[0])
        raise ase_calculators.CalculationFailed(
            f"the energy or force of atom {first} ({atoms.symbols[first]}) is not finite, and of "
            f"{len(bad)} atoms in all: are two atoms in one place?"
        )
