"""LAMMPS runs of the kit: silicon of 8 n^3 atoms, the installed lmp and mpirun."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

BIN = Path(sys.executable).parent
ATOMS = """
units metal
atom_modify map yes
lattice diamond 5.43
region box block 0 {cells} 0 {cells} 0 {cells}
create_box {types} box
create_atoms 1 box
{second}
mass * 28.0855
displace_atoms all random {rattle} {rattle} {rattle} 4711
velocity all create 300 4711
neigh_modify every 10 delay 0 check no
"""
STYLE = "pair_style mliap unified {model} 0{words}\npair_coeff * * {elements}\n"
NUMBERS = """
compute virial all pressure NULL virial
compute e all pe/atom
thermo_style custom step pe c_virial[*]
thermo_modify format float %.17g
fix 1 all nve
run 2
write_dump all custom {dump} id fx fy fz c_e modify sort id format float %.17g
"""


def cells_of(atoms: int) -> int:
    """Return n of 8 n^3 atoms."""
    cells = round((atoms / 8) ** (1 / 3))
    if 8 * cells**3 != atoms:
        raise SystemExit(f"kit.py: --sizes {atoms}: give 8 n^3, for example {8 * cells**3}")
    return cells


def run(
    script: str, folder: Path, env: dict[str, str], ranks: int = 1, seconds: float = 600
) -> str:
    """Run an input; return LAMMPS's log.

    Raises:
        RuntimeError: it failed, with the end of its output.
    """
    (folder / "in.kit").write_text(script)
    command = [str(BIN / "lmp"), "-in", "in.kit", "-log", "log.kit"]
    if ranks > 1:
        command = [str(BIN / "mpirun"), "-np", str(ranks), *command]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True,
        timeout=seconds, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{(done.stdout + done.stderr)[-3000:]}")
    return (folder / "log.kit").read_text()


def numbers(
    script: str, folder: Path, env: dict[str, str], ranks: int = 1
) -> dict[str, np.ndarray]:
    """Return the energy and virial of the last step, and forces and energies of atoms."""
    log = run(script + NUMBERS.format(dump="kit.dump"), folder, env, ranks)
    table = re.findall(r"^ *Step .*?^Loop time", log, re.M | re.S)[-1].splitlines()
    last = np.array([float(word) for word in table[-2].split()])
    atoms = np.loadtxt(folder / "kit.dump", skiprows=9)
    return {
        "energy": last[1:2],
        "virial": last[2:],
        "forces": atoms[:, 1:4],
        "energies": atoms[:, 4],
    }
