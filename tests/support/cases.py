"""Random structures, decompositions and input scripts, and what Python alone says about each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from small import CUTOFF, make_model, write_model

from lammps_mace.evaluation import Evaluator, Pairs
from lammps_mace.modelfile import load_model

NUMBERS = {"H": 1, "O": 8, "Si": 14, "Cu": 29}
# LAMMPS's constants: its energy unit per eV, and its pressure unit per (energy unit / Å^3).
UNITS = {"metal": (1.0, 1.6021765e6), "real": (23.060549, 68568.415)}
MODELS = {  # name: elements, precision, layers
    "one": (("Si",), "float64", 1),
    "two": (("O", "Si"), "float64", 2),
    "three": (("H", "O", "Si"), "float32", 2),
    "four": (("H", "O", "Si", "Cu"), "float64", 3),
}
STYLES = ("plain", "overlay", "hybrid", "twice")
LAYOUTS = ("bricks", "grid", "shifted", "tiled")
SKIN = 2.0  # Å, LAMMPS's default in both unit styles
CLOSEST = 1.4  # Å between any two atoms or images
ATOM_STYLES = ("atomic", "charge", "full")


@dataclass(frozen=True)
class Case:
    """One structure in one LAMMPS set-up; ``species`` -1 are atoms of a NULL type."""

    name: str
    model: str
    ranks: int
    units: str
    atom_style: str
    boundary: str
    cell: np.ndarray  # [3, 3], Å, lower triangular
    origin: np.ndarray  # [3], Å
    positions: np.ndarray  # [n, 3], Å
    species: np.ndarray  # [n], index into the model's elements
    style: str
    layout: str
    grid: tuple[int, int, int]

    @property
    def periodic(self) -> np.ndarray:
        return np.array([word == "p" for word in self.boundary.split()])

    def __str__(self) -> str:
        words = (self.name, self.model, f"{self.ranks} ranks", self.units, self.atom_style)
        more = (
            self.boundary,
            self.style,
            self.layout,
            str(self.grid),
            f"{len(self.species)} atoms",
        )
        return ", ".join((*words, *more))


def make_case(seed: int, index: int, ranks: int) -> Case:
    """Return the index-th case; every choice follows from the two numbers."""
    rng = np.random.default_rng([seed, index, ranks])
    model = list(MODELS)[rng.integers(len(MODELS))]
    boundary = _boundary(rng)
    cell = _cell(rng, np.array([word == "p" for word in boundary.split()]))
    positions = _positions(rng, cell, boundary)
    style = STYLES[rng.integers(len(STYLES))]
    species = rng.integers(0, len(MODELS[model][0]), len(positions))
    if style == "hybrid":
        species[rng.random(len(species)) < 0.3] = -1
    layout = LAYOUTS[rng.integers(len(LAYOUTS) if tiled_allowed(cell, boundary) else 3)]
    grids = [
        (a, b, ranks // a // b) for a in range(1, 5) for b in range(1, 5) if ranks % (a * b) == 0
    ]
    return Case(
        f"case{ranks}_{index}", model, ranks, ("metal", "real")[rng.integers(2)],
        ATOM_STYLES[rng.integers(3)], boundary, cell, rng.uniform(-5, 5, 3), positions, species,
        style, layout, grids[rng.integers(len(grids))],
    )  # fmt: skip


def tiled_allowed(cell: np.ndarray, boundary: str) -> bool:
    """Return whether the ghosts of comm_style tiled are less than a period away, its limit."""
    reach = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)  # between opposite faces
    limit = 1.4 * (CUTOFF + SKIN)  # with room: LAMMPS measures along the edges of a tilted box
    return all(r > limit for r, w in zip(reach, boundary.split(), strict=True) if w == "p")


def _boundary(rng) -> str:
    if rng.random() < 0.5:
        return "p p p"
    return " ".join(rng.choice(["p", "f", "s", "m"], 3, p=[0.5, 0.2, 0.2, 0.1]))


def _cell(rng, periodic) -> np.ndarray:
    """Return a box, tilted in half the cases, of these far beyond half a length in half."""
    cell = np.diag(rng.uniform(3.0, 11.0, 3))
    reach = (0.0, 0.0, 0.5, 1.4)[rng.integers(4)]
    for row, column in ((1, 0), (2, 0), (2, 1)):
        if periodic[row] and periodic[column]:
            cell[row, column] = rng.uniform(-reach, reach) * cell[column, column]
    return cell


def _positions(rng, cell, boundary) -> np.ndarray:
    """Return random positions, no two closer than CLOSEST, sometimes in a corner only."""
    wanted = 1 + rng.integers(min(32, int(np.linalg.det(cell) * 0.06) + 1))
    extent = rng.choice([1.0, 0.5], 3, p=[0.8, 0.2])
    steps = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    images = steps[(steps[:, [w != "p" for w in boundary.split()]] == 0).all(axis=1)] @ cell
    found: list[np.ndarray] = []
    for _ in range(50 * wanted):
        new = rng.uniform(0.01, 0.99, 3) * extent @ cell
        old = np.array(found).reshape(-1, 1, 3)
        if (np.linalg.norm(new - old - images, axis=-1) > CLOSEST).all():
            found.append(new)
        if len(found) == wanted:
            break
    return np.array(found)


def write_models(folder: Path) -> dict[str, Truth]:
    """Write all models as NAME.model and return their evaluators."""
    truths = {}
    for seed, (name, (elements, dtype, layers)) in enumerate(MODELS.items()):
        info = {"atomic_energies_map": {NUMBERS[e]: -1.5 * k - 0.5 for k, e in enumerate(elements)}}
        write_model(folder / f"{name}.model", make_model(dtype, seed, info, num_layers=layers))
        model = load_model(folder / f"{name}.model")
        truths[name] = Truth(replace(model, dtype="float64"))  # of the same rounded weights
    return truths


class Truth(Evaluator):
    """The evaluation in one process, padded so that few sizes are compiled.

    Padding atoms have no pairs but one with themselves, beyond the cutoff, that adds nothing.
    """

    def _species(self, atoms: Atoms) -> np.ndarray:
        return np.pad(super()._species(atoms), (0, 40 - len(atoms)))

    def _pairs(self, atoms: Atoms) -> tuple[Pairs, Pairs]:
        near, far = super()._pairs(atoms)
        more = 512 * 2 ** max(0, int(np.ceil(np.log2(max(len(near.senders), 1) / 512))))
        fill = (0, more - len(near.senders))
        vectors = np.pad(near.vectors, (fill, (0, 0)), constant_values=2 * CUTOFF)
        senders = np.pad(near.senders, fill, constant_values=39)
        return Pairs(senders, np.pad(near.receivers, fill, constant_values=39), vectors), far


@dataclass(frozen=True)
class Numbers:
    """eV, eV/Å: per atom energies [n] and forces [n, 3]; sums, virial [6] in LAMMPS's order."""

    energies: np.ndarray
    forces: np.ndarray
    energy: float
    virial: np.ndarray
    atom_virial: np.ndarray


def expected(case: Case, truth: Truth) -> Numbers:
    """Return what Python alone says; atoms of a NULL type are not there."""
    seen, n = case.species >= 0, len(case.species)
    factor = 2 if case.style == "twice" else 1
    energies, forces, virial = np.zeros(n), np.zeros((n, 3)), np.zeros(6)
    if seen.any():
        symbols = np.array(MODELS[case.model][0])[case.species[seen]]
        result = truth.evaluate(
            Atoms(symbols, case.positions[seen], cell=case.cell, pbc=case.periodic)
        )
        energies[seen] = factor * result.energies[: seen.sum()]
        forces[seen] = factor * result.forces[: seen.sum()]
        virial = factor * result.virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    return Numbers(energies, forces, energies.sum(), virial, virial)


def script(case: Case) -> str:
    """Return the part of an input script that evaluates a case; starts with `clear`."""
    before, after = _layout(case)
    n_types = len(MODELS[case.model][0]) + 1  # the last is NULL or, without hybrid, an element
    # LAMMPS does not bin boxes as flat as shrink-wrapping can make them.
    special = "special_bonds lj/coul 1.0 1.0 1.0\n" if case.atom_style == "full" else ""
    return f"""
clear
print "{case}"
units {case.units}
atom_style {case.atom_style}
boundary {case.boundary}
box tilt large
{before}
read_data {case.name}.data
{special}{_pair_style(case, n_types)}
neighbor {SKIN} {"bin" if set(case.boundary) <= set("pf ") else "nsq"}
{after}
compute e all pe/atom
compute s all stress/atom NULL virial
compute p all pressure NULL virial
compute w all reduce sum c_s[1] c_s[2] c_s[3] c_s[4] c_s[5] c_s[6]
thermo_style custom step pe vol c_p[1] c_w[1]
thermo_modify lost error norm no
dump d all custom 1 {case.name}.dump id c_e fx fy fz
dump_modify d sort id format float %.17g
run 0
print "{_values("pe", "vol")}" file {case.name}.txt
print "{_values(*(f"c_p[{k}]" for k in range(1, 7)))}" append {case.name}.txt
print "{_values(*(f"c_w[{k}]" for k in range(1, 7)))}" append {case.name}.txt
"""


def _values(*names: str) -> str:
    return " ".join(f"$({name}:%.17g)" for name in names)


def _layout(case: Case) -> tuple[str, str]:
    grid = "processors {} {} {}".format(*case.grid)
    return {
        "bricks": ("", ""),
        "grid": (grid, ""),
        "shifted": (grid, "balance 1.0 shift xyz 5 1.05"),
        "tiled": ("comm_style tiled", "balance 1.0 rcb"),
    }[case.layout]


def _pair_style(case: Case, n_types: int) -> str:
    elements = " ".join(MODELS[case.model][0])
    ours, last = f"mliap unified {case.model}.model 0", MODELS[case.model][0][0]
    return {
        "plain": f"pair_style {ours}\npair_coeff * * {elements} {last}",
        "overlay": f"pair_style hybrid/overlay zero 5.0 {ours}\npair_coeff * * zero\n"
        f"pair_coeff * * mliap {elements} {last}",
        "hybrid": f"pair_style hybrid {ours} zero 4.5\npair_coeff * * mliap {elements} NULL\n"
        f"pair_coeff 1*{n_types} {n_types} zero",
        "twice": f"pair_style hybrid/overlay {ours} {ours}\n"
        f"pair_coeff * * mliap 1 {elements} {last}\npair_coeff * * mliap 2 {elements} {last}",
    }[case.style]


def write_data(case: Case, folder: Path) -> None:
    """Write CASE.data."""
    n_types = len(MODELS[case.model][0]) + 1
    lines = ["case", "", f"{len(case.species)} atoms", f"{n_types} atom types", ""]
    for k, axis in enumerate("xyz"):
        lo = case.origin[k]
        lines.append(f"{lo:.17g} {lo + case.cell[k, k]:.17g} {axis}lo {axis}hi")
    tilts = case.cell[1, 0], case.cell[2, 0], case.cell[2, 1]
    if any(tilts):
        lines.append("{:.17g} {:.17g} {:.17g} xy xz yz".format(*tilts))
    lines += ["", "Masses", "", *(f"{k + 1} 20.0" for k in range(n_types))]
    lines += ["", f"Atoms # {case.atom_style}", ""]
    extra = {"atomic": "{}", "charge": "{} 0.0", "full": "1 {} 0.0"}[case.atom_style]
    for i, (species, x) in enumerate(zip(case.species, case.positions + case.origin, strict=True)):
        kind = extra.format(species + 1 if species >= 0 else n_types)
        lines.append(f"{i + 1} {kind} " + " ".join(f"{c:.17g}" for c in x))
    (folder / f"{case.name}.data").write_text("\n".join(lines) + "\n")


def read(case: Case, folder: Path) -> Numbers:
    """Return what LAMMPS wrote, in eV and Å."""
    per_ev, pressure = UNITS[case.units]
    rows = np.loadtxt(folder / f"{case.name}.dump", skiprows=9, ndmin=2)
    energy, volume, *virials = map(float, (folder / f"{case.name}.txt").read_text().split())
    return Numbers(
        energies=rows[:, 1] / per_ev,
        forces=rows[:, 2:] / per_ev,
        energy=energy / per_ev,
        virial=np.array(virials[:6]) * volume / pressure / per_ev,
        atom_virial=-np.array(virials[6:]) / pressure / per_ev,
    )


def differences(got: Numbers, true: Numbers) -> dict[str, float]:
    """Return the largest difference of each quantity, relative to its largest value."""
    scale = {name: np.abs(getattr(true, name)).max() for name in ("energies", "forces", "virial")}
    scale |= {"energy": np.abs(true.energies).sum(), "atom_virial": scale["virial"]}
    return {
        name: float(np.abs(getattr(got, name) - getattr(true, name)).max() / max(size, 1e-3))
        for name, size in scale.items()
    }
