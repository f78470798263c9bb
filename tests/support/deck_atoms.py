"""Random boxes and atoms in them: from gas to compressed, tilted, open, a corner, a single atom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from lammps_mace.evaluation import find_pairs

CLOSEST = 1.4  # Å between any two atoms or images
SHORTEST = 3.0  # Å, edge of a box
MOST_ATOMS = 300
GAS, DENSE = (5e-4, 1e-2), (1e-2, 0.12)  # atoms / Å^3
OPEN = ("f", "s", "m", "fs", "sf", "fm", "sm")


@dataclass(frozen=True)
class Box:
    """A LAMMPS box and the positions of its atoms.

    Attributes:
        boundary: LAMMPS's word for each direction.
        cell: [3, 3], lower triangular, rows are vectors, Å.
        origin: [3], Å.
        positions: [n, 3], Å, from the origin.
    """

    boundary: tuple[str, str, str]
    cell: np.ndarray
    origin: np.ndarray
    positions: np.ndarray

    @property
    def periodic(self) -> np.ndarray:
        return np.array([word == "p" for word in self.boundary])

    @property
    def tilted(self) -> bool:
        return bool(np.tril(self.cell, -1).any())

    @property
    def widths(self) -> np.ndarray:
        """Distances between opposite faces, [3], Å."""
        return 1.0 / np.linalg.norm(np.linalg.inv(self.cell), axis=0)


def random_box(rng: np.random.Generator) -> Box:
    boundary = _boundary(rng)
    periodic = np.array([word == "p" for word in boundary])
    wanted = int(np.exp(rng.uniform(0.0, np.log(MOST_ATOMS + 0.99))))
    density = np.exp(rng.uniform(*np.log(GAS if rng.random() < 0.25 else DENSE)))
    shape = np.exp(rng.uniform(-0.7, 0.7, 3))
    lengths = np.maximum(shape * (wanted / density / shape.prod()) ** (1 / 3), SHORTEST)
    cell = _tilted(rng, np.diag(lengths), periodic)
    positions = _positions(rng, cell, periodic, wanted)
    return Box(boundary, cell, rng.uniform(-5, 5, 3), positions)


def _boundary(rng) -> tuple[str, str, str]:
    if rng.random() < 0.5:
        return ("p", "p", "p")
    return tuple("p" if rng.random() < 0.5 else str(rng.choice(OPEN)) for _ in range(3))


def _tilted(rng, cell, periodic) -> np.ndarray:
    """Tilt in half the cases, of these far beyond half a length in half."""
    reach = (0.0, 0.0, 0.5, 1.4)[rng.integers(4)]
    for row, column in ((1, 0), (2, 0), (2, 1)):
        if periodic[row] and periodic[column]:
            cell[row, column] = rng.uniform(-reach, reach) * cell[column, column]
    return cell


def _positions(rng, cell, periodic, wanted) -> np.ndarray:
    """Return random positions, up to ``wanted``, no two closer than CLOSEST."""
    extent = rng.choice([1.0, 0.5], 3, p=[0.9, 0.1])  # sometimes a corner only
    points = rng.uniform(0.01, 0.99, (4 * wanted, 3)) * extent @ cell
    pairs = find_pairs(Atoms(positions=points, cell=cell, pbc=periodic), CLOSEST)
    kept = np.zeros(len(points), bool)
    starts = np.searchsorted(pairs.receivers, np.arange(len(points) + 1))
    for i in range(len(points)):
        kept[i] = not kept[pairs.senders[starts[i] : starts[i + 1]]].any()
        if kept.sum() == wanted:
            break
    return points[kept]
