"""Published weights against energies that their makers publish; where a folder has the files.

The weights may not be passed on, so no machine of this project has them: LAMMPS_MACE_PUBLISHED
names a folder of yours.
"""

import os
from pathlib import Path
from typing import NamedTuple

import ase.build
import pytest

from lammps_mace import evaluate
from lammps_mace.convert import convert

ENVIRONMENT = "LAMMPS_MACE_PUBLISHED"


class Published(NamedTuple):
    """A file, a molecule of ASE, its energy in eV, and who says so."""

    file: str
    molecule: str
    energy: float
    source: str


CASES = (
    Published(
        "MACE-OFF23_small.model", "H2O", -2081.116128586803,
        "tests/test_calculator.py of mace-torch, test_mace_off",
    ),
    Published(
        "2023-12-10-mace-128-L0_energy_epoch-249.model", "H2O", -14.047933366728305,
        "page of the package mace-models 0.1.3, MACE-MP-0_small in float64",
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_energy_is_the_published_one(case, tmp_path):
    folder = os.environ.get(ENVIRONMENT)
    if not folder:
        pytest.skip(f"{ENVIRONMENT} names no folder of published weights")
    if not (source := Path(folder, case.file)).is_file():
        pytest.skip(f"{folder} has no {case.file}")
    convert(source, tmp_path / "x.model", dtype="float64")
    found = evaluate(tmp_path / "x.model", ase.build.molecule(case.molecule))
    assert found.energy == pytest.approx(case.energy, rel=1e-8)
