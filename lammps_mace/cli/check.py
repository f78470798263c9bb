"""`lammps-mace check`: LAMMPS on some ranks against a plain evaluation in one process."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from lammps_mace.cli.convert import WARNING
from lammps_mace.cli.progress import progress
from lammps_mace.cli.structure import read_structure

if TYPE_CHECKING:
    from lammps_mace.cli.lammps_process import LammpsResult
    from lammps_mace.evaluation import Evaluation

# dtype -> eV per atom, part of the largest force: another order of the same sums.
TOLERANCES = {"float64": (1e-8, 1e-8), "float32": (2e-5, 2e-4)}
_SMALL_FORCE = 0.1  # eV/Å; forces that cancel by symmetry are compared on this scale


@dataclass(frozen=True)
class Comparison:
    """One quantity: its largest value, the largest difference, and what is allowed."""

    name: str
    value: float
    difference: float
    tolerance: float

    @property
    def equal(self) -> bool:
        """Whether the difference is within the tolerance; not when it is NaN."""
        return self.difference <= self.tolerance


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", help="the model file, X.model")
    parser.add_argument(
        "structure",
        help="atoms in a cell, in any file that ASE reads: extended XYZ, POSCAR, CIF, ...",
    )
    parser.add_argument("-n", "--ranks", type=int, default=1, help="MPI ranks of LAMMPS (1)")
    parser.add_argument(
        "--against", metavar="FILE",
        help="compare with this checkpoint of mace-torch too, run by torch: that unpickles it, "
        "which executes what it says (needs lammps-mace[torch])",
    )  # fmt: skip
    parser.epilog = "ends with status 0 where both agree, 1 where not, 2 where one cannot run"


def run(options: argparse.Namespace) -> int:
    """Print the comparison; return 0 when equal, 1 when not."""
    if options.ranks < 1:
        raise ValueError(f"-n {options.ranks}: at least one rank is needed")
    atoms = read_structure(options.structure)
    # Not at the top: these import JAX.
    from lammps_mace.cli.lammps_process import run_lammps
    from lammps_mace.evaluation import Evaluator

    where = f"on {options.ranks} rank{'s' if options.ranks > 1 else ''}"
    with progress(f"plain evaluation of {len(atoms)} atoms in one process"):
        evaluator = Evaluator(options.model)
        plain = evaluator.evaluate(atoms)
    with progress(f"LAMMPS {where}"), TemporaryDirectory(prefix="lammps-mace-check-") as folder:
        result = run_lammps(Path(options.model), atoms, options.ranks, Path(folder))
    dtype = evaluator.model.dtype
    statuses = [_report(result, plain, "the plain evaluation", where, dtype)]
    if options.against is not None:
        from lammps_mace.convert.torch.source_model import SourceModel

        print(WARNING.format(path=options.against), flush=True)
        with progress(f"torch, {len(atoms)} atoms"):
            source = SourceModel(options.against, evaluator.model).evaluate(atoms)
        statuses.append(_report(result, source, "torch", where, dtype))
    return max(statuses)


def _report(result: LammpsResult, truth: Evaluation, name: str, where: str, dtype: str) -> int:
    """Print the comparison; return 0 when equal, 1 when not."""
    rows = compare(result, truth, dtype)
    print("\n".join(_table(rows)))
    if all(row.equal for row in rows):
        print(f"LAMMPS {where} and {name} agree")
        return 0
    wrong = ", ".join(f"{r.name} by {r.difference:.3g}" for r in rows if not r.equal)
    print(f"LAMMPS {where} and {name} DISAGREE: {wrong}")
    return 1


def compare(result: LammpsResult, plain: Evaluation, dtype: str) -> list[Comparison]:
    """Return the comparison of every quantity."""
    per_atom, relative = TOLERANCES[dtype]
    n = len(plain.energies)
    force = max(_largest(plain.forces), _SMALL_FORCE)
    # A virial is a sum of forces times distances of some Å.
    virial = max(_largest(plain.virial), force * n)
    return [
        Comparison(
            "energy, eV/atom", plain.energy / n, abs(result.energy - plain.energy) / n, per_atom
        ),
        _compared("forces, eV/Å", result.forces, plain.forces, relative * force),
        _compared("virial, eV", result.virial, plain.virial, relative * virial),
        _compared("energies of the atoms, eV", result.energies, plain.energies, per_atom),
    ]


def _compared(name: str, one: np.ndarray, other: np.ndarray, tolerance: float) -> Comparison:
    return Comparison(name, _largest(other), _largest(one - other), tolerance)


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max())


def _table(rows: list[Comparison]) -> list[str]:
    lines = [f"{'':<28}{'largest':>14}{'difference':>14}{'tolerance':>12}"]
    for row in rows:
        mark = "" if row.equal else "  <- not equal"
        numbers = f"{row.value:>14.6g}{row.difference:>14.3g}{row.tolerance:>12.3g}"
        lines.append(f"{row.name:<28}{numbers}{mark}")
    return lines
