"""Calculator: a model for ASE, with the numbers and the speed that it has in LAMMPS."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

try:
    from ase.calculators import calculator as ase_calculators
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
_COMPARED = ("cell", "pbc", "positions", "numbers")
_VOIGT = [0, 4, 8, 5, 2, 1]  # xx yy zz yz xz xy
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
        self._evaluations: list[EngineEvaluation] = []  # of self.atoms, one of each model
        if len(models) > 1:
            more = _OF_SEVERAL
        else:
            more = _OF_CHARGES if self._engines[0].has_charges else []
        self.implemented_properties = [*_PROPERTIES, *more]
        self.ignored_changes = {"initial_charges", "initial_magmoms"}
        names = [x.origin if isinstance(x, Model) else os.fspath(x) for x in given]
        self.parameters["model"] = names if len(names) > 1 else names[0]

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """Return what has changed since the last calculation, see :mod:`ase.calculators`.

        Bit by bit: ASE's comparison within ``tol`` takes a tenth of a small step.
        """
        last: Atoms | None = self.atoms
        if last is None:
            return list(ase_calculators.all_changes)
        both = zip(_COMPARED, _arrays(last), _arrays(atoms), strict=True)
        return [name for name, a, b in both if a.tobytes() != b.tobytes()]

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
        if system_changes or not self._evaluations:
            self._evaluations = []
            if atoms is not None:
                self.atoms = atoms.copy()
            given: Any = self.atoms
            evaluations = [engine.evaluate(given) for engine in self._engines]
            for evaluation in evaluations:
                _check(evaluation, given)
            self._evaluations = evaluations
        self.results = self._all_results("stresses" in properties)

    def _all_results(self, with_stresses: bool) -> dict[str, Any]:
        atoms: Any = self.atoms
        results = _results(atoms, self._evaluations, with_stresses)
        if len(self._evaluations) > 1:
            results.update(_deviations(self._evaluations))
        elif (charges := self._evaluations[0].charges) is not None:
            results["charges"] = charges
            if not atoms.pbc.any() and self._engines[0].model.total_charge == 0:
                results["dipole"] = charges @ atoms.positions
        return results


def _arrays(atoms: Atoms) -> tuple[np.ndarray, ...]:
    """Return those of ``_COMPARED``."""
    return atoms.cell.array, atoms.pbc, atoms.positions, atoms.numbers


def _models_of(given: _Given) -> list[Model]:
    return [given] if isinstance(given, Model) else load_models(given)


def _results(
    atoms: Atoms, evaluations: Sequence[EngineEvaluation], with_stresses: bool
) -> dict[str, Any]:
    """Return the means of what the models say."""
    energies = _mean([one.energies for one in evaluations])
    energy = float(energies.sum())
    results: dict[str, Any] = {
        "energy": energy,
        "free_energy": energy,
        "energies": energies,
        "forces": _mean([one.forces for one in evaluations]),
    }
    if volume := _volume(atoms):
        virial = _mean([one.virial for one in evaluations])
        results["stress"] = _voigt(virial / -volume)
        if with_stresses:
            virials = _mean([one.virials() for one in evaluations])
            results["stresses"] = _voigt(virials / -volume)
    return results


def _volume(atoms: Atoms) -> float:
    """Return the volume of the cell, Å^3; 0 without three vectors."""
    (a, b, c), (d, e, f), (g, h, i) = atoms.cell.array.tolist()
    return abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))


def _voigt(stress: np.ndarray) -> np.ndarray:
    """Return [..., 6], in ASE's order, of symmetric [..., 3, 3]."""
    return stress.reshape(*stress.shape[:-2], 9)[..., _VOIGT]


def _mean(values: Sequence[np.ndarray]) -> np.ndarray:
    return values[0] if len(values) == 1 else np.mean(values, axis=0)


def _deviations(evaluations: Sequence[EngineEvaluation]) -> dict[str, np.ndarray]:
    """Return how far the models are apart, as DeePMD-kit defines it."""
    variance = np.var([one.forces for one in evaluations], axis=0)
    return {
        "energy_deviation": np.std([one.energies for one in evaluations], axis=0),
        "force_deviation": np.sqrt(variance.sum(axis=1)),
    }


def _check(evaluation: EngineEvaluation, atoms: Atoms) -> None:
    """Raise CalculationFailed if a result is not finite."""
    if math.isfinite(evaluation.forces.sum() + evaluation.energies.sum()):
        return
    finite = np.isfinite(evaluation.forces).all(axis=1) & np.isfinite(evaluation.energies)
    if finite.all():
        return
    bad = np.flatnonzero(~finite)
    first = int(bad[0])
    raise ase_calculators.CalculationFailed(
        f"the energy or force of atom {first} ({atoms.symbols[first]}) is not finite, and of "
        f"{len(bad)} atoms in all: are two atoms in one place?"
    )
