"""Estimate: pairs, exchange volume and memory of a run, before it is started."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MARGIN = 1.3  # arrays of the engine are so much longer than needed: lammps_mace.engine.capacity
SKIN_ANGSTROM = 2.0  # LAMMPS's default of `neighbor` in units metal and real


@dataclass(frozen=True)
class Shapes:
    """What of a model decides the sizes.

    Attributes:
        cutoff_angstrom: of the pairs.
        exchange_widths: numbers per atom of each forward exchange of a step.
        skip_widths: numbers per atom that it keeps for itself at each layer boundary.
        bytes_of_pairs: what layers compute of so many pairs at once and keep, all layers together.
        edge_width: numbers per pair while a chunk is worked on.
        chunk_atoms: of a chunk.
        item_bytes: of one number.
    """

    cutoff_angstrom: float
    exchange_widths: Sequence[int]
    skip_widths: Sequence[int]
    bytes_of_pairs: Callable[[int], int]
    edge_width: int
    chunk_atoms: int
    item_bytes: int


@dataclass(frozen=True)
class Estimate:
    """Figures of one rank, for a homogeneous cube divided as LAMMPS divides it.

    Attributes:
        atoms, ghosts, pairs: of one rank; pairs count both directions.
        remote_atoms: atoms of other ranks whose features it gets, however many ghosts they have.
        exchange_bytes: that reach a rank in a step, forward and reverse.
        feature_bytes, pair_bytes, radial_bytes, chunk_bytes: memory, on the device on which JAX
            runs, but for the part of pair_bytes and feature_bytes that LAMMPS and the exchange
            hold; radial_bytes is of radial networks that no splines replace.
    """

    atoms: float
    ghosts: float
    remote_atoms: float
    pairs: float
    exchange_bytes: float
    feature_bytes: float
    pair_bytes: float
    radial_bytes: float
    chunk_bytes: float

    @property
    def memory_bytes(self) -> float:
        """What grows with the system; JAX, Python and LAMMPS themselves come on top."""
        return self.feature_bytes + self.pair_bytes + self.radial_bytes + self.chunk_bytes


def pairs_per_atom(density: float, cutoff: float) -> float:
    """Return the mean number of neighbours, density (1/Å^3) times the sphere of the cutoff (Å)."""
    return density * 4 / 3 * math.pi * cutoff**3


def domain_grid(ranks: int) -> tuple[int, int, int]:
    """Return how LAMMPS divides a cube: the factors with the least surface."""
    factors = [
        (i, j, ranks // (i * j))
        for i, j in itertools.product(range(1, ranks + 1), repeat=2)
        if ranks % (i * j) == 0
    ]
    # Sides are 1/i, 1/j, 1/k.
    return min(factors, key=lambda f: sum(1 / (a * b) for a, b in itertools.combinations(f, 2)))


def ghosts_of_a_domain(atoms: int, ranks: int, density: float, reach: float) -> float:
    """Return the ghosts of one rank: atoms within ``reach`` (Å) around its part of the cube."""
    sides = _sides(atoms, ranks, density)
    return density * (math.prod(side + 2 * reach for side in sides) - math.prod(sides))


def remote_atoms_of_a_domain(atoms: int, ranks: int, density: float, reach: float) -> float:
    """Return how many atoms of other ranks are within ``reach`` (Å) of an atom of one rank.

    These fill slabs on the faces of its part, cylinders along its edges and spheres at its
    corners. No part of the cube counts twice, and none that is its own.
    """
    a, b, c = sides = _sides(atoms, ranks, density)
    deep, others = 2 * _depth(density, reach), [n - 1 for n in domain_grid(ranks)]
    x, y, z = (min(side * n, deep) for side, n in zip(sides, others, strict=True))
    slabs, cylinders = x * b * c + a * y * c + a * b * z, x * y * c + x * b * z + a * y * z
    return density * (slabs + math.pi / 4 * cylinders + math.pi / 6 * x * y * z)


def _sides(atoms: int, ranks: int, density: float) -> list[float]:
    return [(atoms / density) ** (1 / 3) / n for n in domain_grid(ranks)]


def _depth(density: float, reach: float, steps: int = 200) -> float:
    """Return how deep the atoms are that a flat face has within ``reach``, in the mean.

    One at depth d is among them if the cap of its sphere behind the face, h = reach - d high, has
    an atom: 1 - exp(-density pi h^2 (3 reach - h) / 3) of them.
    """
    heights = [(k + 0.5) / steps * reach for k in range(steps)]
    caps = (math.pi * h**2 * (3 * reach - h) / 3 for h in heights)
    return sum(1 - math.exp(-density * cap) for cap in caps) / steps * reach


def estimate(shapes: Shapes, atoms: int, ranks: int, density: float, per_atom: float) -> Estimate:
    """Return the figures of one rank.

    Args:
        density: atoms per Å^3.
        per_atom: pairs per atom.
    """
    own = atoms / ranks
    reach = shapes.cutoff_angstrom + SKIN_ANGSTROM
    remote = remote_atoms_of_a_domain(atoms, ranks, density, reach)
    sent, kept, item = sum(shapes.exchange_widths), sum(shapes.skip_widths), shapes.item_bytes
    widest = max(shapes.exchange_widths, default=0)
    pairs = own * per_atom
    return Estimate(
        atoms=own,
        ghosts=ghosts_of_a_domain(atoms, ranks, density, reach),
        remote_atoms=remote,
        pairs=pairs,
        exchange_bytes=2 * remote * sent * item,
        # Features of every boundary and adjoints of one, and the rows on their way.
        feature_bytes=MARGIN * item * (own * (kept + 2 * widest) + (own + remote) * (sent + widest))
        + (own + remote) * widest * item,
        # In LAMMPS: its list with the skin, vector, sender, gradient; here float64 gradients once
        # more; vectors and gradients on host and device, two int32 columns on both.
        pair_bytes=pairs * (4 * _skin_factor(shapes) + 24 + 4 + 24 + 24)
        + MARGIN * pairs * (4 * 3 * item + 4 * 4),
        # The two directions of a pair have one row, and rows that are left over are never touched.
        radial_bytes=shapes.bytes_of_pairs(math.ceil(MARGIN * pairs)) / MARGIN / 2,
        chunk_bytes=min(own, shapes.chunk_atoms) * per_atom * MARGIN * shapes.edge_width * item,
    )


def _skin_factor(shapes: Shapes) -> float:
    return (1 + SKIN_ANGSTROM / shapes.cutoff_angstrom) ** 3
