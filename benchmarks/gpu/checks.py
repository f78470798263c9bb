"""Numbers of a model on the device against the same model in float64 on the CPU, both in LAMMPS."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lammps_runs import ATOMS, BIN, STYLE, numbers, run
from ours import write_model

CPU = {"JAX_PLATFORMS": "cpu", "LAMMPS_MACE_DEVICE_PATH": "0"}
CELLS = 3


@dataclass(frozen=True)
class KitModel:
    """A model with random weights.

    Attributes:
        name: of its files.
        channels: of features up to l = 1.
        dtype: in which it is tried.
        tolerance: of forces, as a part of the largest.
        long_range: cutoff of a Coulomb sum, Å.
        members: models of one committee.
    """

    name: str
    channels: int
    dtype: str
    tolerance: float
    long_range: float | None = None
    members: int = 1

    def write(self, folder: Path, dtype: str) -> Path:
        """Write it in a precision; return the path of the model file."""
        case = {
            "channels": self.channels, "node_symmetry": 1, "l_max": 3, "elements": [14, 32],
            "cutoff": 5.0,
        }  # fmt: skip
        files = [folder / f"{self.name}.{dtype}.{seed}.model" for seed in range(self.members)]
        for seed, file in enumerate(files):
            write_model(file, case, dtype, self.long_range, seed)
        if self.members == 1:
            return files[0]
        whole = folder / f"{self.name}.{dtype}.model"
        subprocess.run([BIN / "lammps-mace", "committee", *files, "-o", whole], check=True)
        return whole


MODELS = (
    KitModel("reference", 128, "float32", 2e-4),
    KitModel("small", 16, "float64", 1e-9),
    KitModel("charges", 16, "float64", 1e-9, long_range=7.0),
    KitModel("committee", 16, "float64", 1e-9, members=2),
)


@dataclass(frozen=True)
class Check:
    """The largest differences of a model on so many ranks.

    Attributes:
        differences: of energy, virial, forces and energies of atoms, each as a part of the largest.
        good: whether all are below the tolerance.
    """

    model: str
    dtype: str
    ranks: int
    differences: dict[str, float]
    good: bool


def truth_of(model: KitModel, folder: Path) -> dict[str, np.ndarray]:
    """Return what float64 on the CPU says of 216 atoms of two elements, far from a crystal."""
    atoms = ATOMS.format(
        cells=CELLS, types=2, second="set group all type/fraction 2 0.4 4711", rattle=0.25
    )
    # All ranks are to have the same atoms, which LAMMPS's random numbers do not give.
    run(atoms + "write_data kit.data\n", folder, CPU)
    return _numbers(model, "float64", folder, CPU)


def check(
    model: KitModel, truth: dict[str, np.ndarray], ranks: int, folder: Path, device: dict[str, str]
) -> Check:
    """Compare a model on so many ranks with :func:`truth_of` it, whose atoms are in the folder."""
    tried = _numbers(model, model.dtype, folder, device, ranks)
    differences = {
        name: float(np.abs(tried[name] - truth[name]).max() / np.abs(truth[name]).max())
        for name in truth
    }
    good = all(value <= model.tolerance for value in differences.values())
    return Check(model.name, model.dtype, ranks, differences, good)


def _numbers(
    model: KitModel, dtype: str, folder: Path, env: dict[str, str], ranks: int = 1
) -> dict[str, np.ndarray]:
    words = " committee drive mean" if model.members > 1 else ""
    style = STYLE.format(model=model.write(folder, dtype), words=words, elements="Si Ge")
    start = "units metal\natom_modify map yes\nread_data kit.data\n"
    return numbers(start + style, folder, env, ranks)
