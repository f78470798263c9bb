"""What Python alone says about the atoms that a deck left, and how LAMMPS's numbers differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from deck_models import MODELS
from decks import EPSILON, LJ_CUTOFF, SIGMA, UNITS, Deck

from lammps_mace.evaluation import Evaluator, Pairs, find_pairs, species_of
from lammps_mace.graph import Graph
from lammps_mace.modelfile import load_model

# The same sums in another order; and float32 against the float64 of the same weights.
TOLERANCE = {"float64": 1e-8, "float32": 1e-4}
SMALLEST = 1e-3  # eV, eV/Å: what is smaller is compared on this scale
NO_PAIRS = Pairs(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3)))
VOIGT = [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]  # LAMMPS's xx, yy, zz, xy, xz, yz


@dataclass(frozen=True)
class Left:
    """The atoms that a deck left.

    Attributes:
        types: [n], LAMMPS's, from 0.
        gone: bool [n], those excluded from everything.
        atoms: positions, cell and boundary; chemical symbols mean nothing.
    """

    types: np.ndarray
    gone: np.ndarray
    atoms: Atoms


@dataclass(frozen=True)
class Numbers:
    """eV and Å: energies [n] and forces [n, 3] of atoms; sums; virials [6] in LAMMPS's order."""

    energies: np.ndarray
    forces: np.ndarray
    energy: float
    virial: np.ndarray
    atom_virial: np.ndarray

    @classmethod
    def zero(cls, n: int) -> Numbers:
        return cls(np.zeros(n), np.zeros((n, 3)), 0.0, np.zeros(6), np.zeros(6))

    def plus(self, part: Numbers, places: np.ndarray | slice = slice(None), factor=1.0) -> Numbers:
        """Return the sum with a part, whose atoms stand in these places."""
        energies, forces = self.energies.copy(), self.forces.copy()
        energies[places] += factor * part.energies
        forces[places] += factor * part.forces
        energy = self.energy + factor * part.energy
        virial = self.virial + factor * part.virial
        return Numbers(energies, forces, energy, virial, virial)


def read(deck: Deck, folder: Path) -> tuple[Left, Numbers]:
    """Return what LAMMPS wrote."""
    per_ev, pressure = UNITS[deck.units]
    table = (folder / f"{deck.name}.dump").read_text().rpartition("ITEM: ATOMS")[2]
    rows = np.array([line.split() for line in table.splitlines()[1:]], float).reshape(-1, 10)
    values = np.array((folder / f"{deck.name}.txt").read_text().split(), float)
    energy, volume, (lo, hi), tilts = *values[:2], values[2:8].reshape(3, 2).T, values[8:11]
    cell = np.diag(hi - lo)
    cell[[1, 2, 2], [0, 0, 1]] = tilts
    periodic = [word == "p" for word in deck.boundary]
    return Left(
        types=rows[:, 1].astype(int) - 1,
        gone=rows[:, 9] > 0,
        atoms=Atoms(positions=rows[:, 2:5], cell=cell, pbc=periodic),
    ), Numbers(
        energies=rows[:, 8] / per_ev,
        forces=rows[:, 5:8] / per_ev,
        energy=energy / per_ev,
        virial=values[11:17] * volume / pressure / per_ev,
        atom_virial=-values[18:24] / pressure / per_ev,
    )


class Truth(Evaluator):
    """The plain evaluation, of many structures at once: it is compiled once for all.

    Of the weights as they are in the file, in float64.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(replace(load_model(path), dtype="float64"))

    def evaluate_all(self, structures: Sequence[Atoms]) -> list[Numbers]:
        """Return what the model says of each; no structure may be empty."""
        ends = np.cumsum([len(atoms) for atoms in structures])
        pairs = [self._pairs(atoms) for atoms in structures]
        near, far = (_joined(kind, ends) for kind in zip(*pairs, strict=True))
        species = np.concatenate([species_of(self.model, atoms) for atoms in structures])
        with jax.enable_x64(True), jax.default_matmul_precision("highest"):
            graph = self._graph_of_all(species, near, far, ends)
            params = jax.tree.map(jnp.asarray, self.network.parameters)
            (_, found), gradients = self._function(params, near.vectors, far.vectors, graph)
        energies = np.asarray(found[0]) + self.network.atomic_energies[species]
        sums = Sums(energies, np.zeros((len(species), 3)), np.zeros((len(structures), 3, 3)))
        for kind, gradient in zip((near, far), gradients, strict=True):
            sums.add(kind, np.asarray(gradient), np.searchsorted(ends, kind.receivers, "right"))
        return sums.split(ends)

    def _graph_of_all(self, species, near: Pairs, far: Pairs, ends) -> Graph:
        graph = self._graph(species, near, far)
        n, same = len(ends), graph.globals
        charge = None if same.charge is None else jnp.repeat(same.charge, n)
        everywhere = replace(same, charge=charge, head=jnp.repeat(same.head, n))
        sizes = jnp.asarray(np.diff(ends, prepend=0), jnp.int32)
        return replace(graph, n_node=sizes, globals=everywhere)


def _joined(pairs: Sequence[Pairs], ends: np.ndarray) -> Pairs:
    """Return the pairs of structures that stand one after the other."""
    starts = [0, *ends[:-1]]
    senders, receivers = (
        np.concatenate([getattr(p, name) + start for p, start in zip(pairs, starts, strict=True)])
        for name in ("senders", "receivers")
    )
    return Pairs(senders, receivers, np.concatenate([p.vectors for p in pairs]))


@dataclass
class Sums:
    """Energies [n] and forces [n, 3] of all atoms, virials [n_structures, 3, 3]."""

    energies: np.ndarray
    forces: np.ndarray
    virials: np.ndarray

    def add(self, pairs: Pairs, gradient: np.ndarray, structure: np.ndarray | int) -> None:
        """Add dE/d(vectors) [n_pairs, 3] of pairs, each of which is in a structure."""
        np.add.at(self.forces, pairs.senders, gradient)
        np.subtract.at(self.forces, pairs.receivers, gradient)
        np.subtract.at(self.virials, structure, gradient[:, :, None] * pairs.vectors[:, None, :])

    def split(self, ends: np.ndarray) -> list[Numbers]:
        energies, forces = (np.split(x, ends[:-1]) for x in (self.energies, self.forces))
        virials = 0.5 * (self.virials + self.virials.transpose(0, 2, 1))[:, *VOIGT]
        return [
            Numbers(e, f, e.sum(), virial, virial)
            for e, f, virial in zip(energies, forces, virials, strict=True)
        ]


def lennard_jones(deck: Deck, left: Left) -> Numbers:
    """Return the part of lj/cut: of pairs with a NULL type, of all where it is laid over."""
    null = np.array([element is None for element in deck.types])[left.types]
    pairs = find_pairs(left.atoms, LJ_CUTOFF) if len(left.types) else NO_PAIRS
    taken = null[pairs.senders] | null[pairs.receivers] | (deck.style == "overlay")
    taken &= ~(left.gone[pairs.senders] | left.gone[pairs.receivers])
    pairs = Pairs(pairs.senders[taken], pairs.receivers[taken], pairs.vectors[taken])
    square = (pairs.vectors**2).sum(axis=1)
    sixth = (SIGMA**2 / square) ** 3
    # Each pair is listed twice: half its energy, and half its gradient, each time.
    energy = 2 * EPSILON * (sixth**2 - sixth)
    slope = 12 * EPSILON * (sixth - 2 * sixth**2) / square
    n = len(left.types)
    sums = Sums(np.bincount(pairs.receivers, energy, n), np.zeros((n, 3)), np.zeros((1, 3, 3)))
    sums.add(pairs, slope[:, None] * pairs.vectors, np.zeros(len(square), int))
    return sums.split(np.array([n]))[0]


def expected(decks: Sequence[Deck], left: Sequence[Left], truth: Truth) -> list[Numbers]:
    """Return what Python alone says of decks of one model; atoms of NULL types are not there."""
    elements = [
        np.where(x.gone, "", np.array([element or "" for element in deck.types])[x.types])
        for deck, x in zip(decks, left, strict=True)
    ]
    structures = [
        Atoms(
            names[names != ""], x.atoms.positions[names != ""], cell=x.atoms.cell, pbc=x.atoms.pbc
        )
        for names, x in zip(elements, left, strict=True)
    ]
    full = [atoms for atoms in structures if len(atoms)]
    results = iter(truth.evaluate_all(full) if full else [])
    found = []
    for deck, x, names, atoms in zip(decks, left, elements, structures, strict=True):
        total = Numbers.zero(len(names))
        if len(atoms):
            total = total.plus(next(results), names != "", 2.0 if deck.style == "twice" else 1.0)
        if deck.style in ("hybrid", "overlay"):
            total = total.plus(lennard_jones(deck, x))
        found.append(total)
    return found


def differences(got: Numbers, true: Numbers) -> dict[str, float]:
    """Return the largest difference of each quantity, relative to its largest value."""
    scale = {
        "energies": np.abs(true.energies).max(initial=0.0),
        "forces": np.abs(true.forces).max(initial=0.0),
        "energy": np.abs(true.energies).sum(),
        "virial": np.abs(true.virial).max(),
        "atom_virial": np.abs(true.virial).max(),
    }
    return {
        name: float(
            np.abs(getattr(got, name) - getattr(true, name)).max(initial=0.0) / max(size, SMALLEST)
        )
        for name, size in scale.items()
    }


def wrong(deck: Deck, found: dict[str, float]) -> dict[str, float]:
    """Return the differences beyond the tolerance."""
    limit = TOLERANCE[MODELS[deck.model].dtype]
    return {name: value for name, value in found.items() if not value <= limit}
