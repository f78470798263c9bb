"""Structures of one size to graphs of one shape, so that the training step compiles once."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from data import Structure
from flax import struct

from lammps_mace import Graph
from lammps_mace.graph import Edges, Globals, LongRange, Nodes

PADDING_ANGSTROM = 100.0  # length of the vectors of padding, beyond every cutoff
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


@struct.dataclass
class Batch:
    """Structures and what they should give.

    Attributes:
        graph: n structures, then one of a single atom of padding.
        energy: [n], eV.
        forces: [n_nodes - 1, 3], eV/Å.
        virial: [n, 3, 3], -dE/d(strain), eV.
    """

    graph: Graph
    energy: jax.Array
    forces: jax.Array
    virial: jax.Array


class Batches:
    """The pairs of all structures, and batches of any of them.

    Args:
        structures: all with the same number of atoms.
        cutoff, long_range: of the messages and of the Coulomb sum, Å.
    """

    def __init__(self, structures: Sequence[Structure], cutoff: float, long_range: float) -> None:
        self.structures = structures
        self.near = [s.neighbors(cutoff) for s in structures]
        self.far = [s.neighbors(long_range) for s in structures]
        self.rooms = [max(len(pairs[0]) for pairs in kind) for kind in (self.near, self.far)]

    def get(self, chosen: Sequence[int]) -> Batch:
        """Return the structures with these numbers."""
        structures = [self.structures[i] for i in chosen]
        n = len(structures[0].species)
        near, far = (
            _joined([pairs[i] for i in chosen], room * len(chosen), n)
            for pairs, room in zip((self.near, self.far), self.rooms, strict=True)
        )
        species = np.concatenate([*(s.species for s in structures), [0]]).astype(np.int32)
        graph = Graph(
            nodes=Nodes(species, mask=np.arange(len(species)) < n * len(chosen)),
            edges=near.edges,
            senders=near.senders,
            receivers=near.receivers,
            n_node=np.array([n] * len(chosen) + [1], np.int32),
            globals=Globals(charge=np.zeros(len(chosen) + 1, np.float32)),
            long_range=far,
        )
        return Batch(
            graph=graph,
            energy=np.array([s.energy for s in structures], np.float32),
            forces=np.concatenate([s.forces for s in structures]).astype(np.float32),
            virial=np.array([s.virial for s in structures], np.float32),
        )


def _joined(parts: Sequence[Pairs], room: int, n: int) -> LongRange:
    """Return pairs of structures of n atoms each, padded to ``room`` rows."""
    ends = np.full((2, room), len(parts) * n, np.int32)
    vectors = np.full((room, 3), PADDING_ANGSTROM, np.float32)
    used = sum(len(part[0]) for part in parts)
    for k in (0, 1):
        ends[k, :used] = np.concatenate([part[k] + i * n for i, part in enumerate(parts)])
    vectors[:used] = np.concatenate([part[2] for part in parts])
    edges = Edges(vectors=vectors, mask=np.arange(room) < used)
    return LongRange(edges, senders=ends[1], receivers=ends[0])
