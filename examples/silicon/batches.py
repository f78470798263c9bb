"""Structures to padded graphs of one shape, so that the training step compiles once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from data import Structure
from flax import struct

from lammps_mace import Graph
from lammps_mace.graph import Edges, Nodes


@struct.dataclass
class Batch:
    """Graphs and what they should give; padding has weight 0.

    Attributes:
        graph: several structures, then one of padding.
        energy: [n_graphs], eV.
        forces: [n_nodes, 3], eV/Å.
        virial: [n_graphs, 3, 3], -dE/d(strain), eV.
        n_atoms: [n_graphs], at least 1.
        real: bool [n_graphs].
    """

    graph: Graph
    energy: jax.Array
    forces: jax.Array
    virial: jax.Array
    n_atoms: jax.Array
    real: jax.Array


@dataclass(frozen=True)
class Sample:
    """A structure with its pairs: receivers, senders [n_edges] and vectors [n_edges, 3], Å."""

    structure: Structure
    receivers: np.ndarray
    senders: np.ndarray
    vectors: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """Numbers of structures, atoms and pairs."""
        return np.array([1, len(self.structure.positions), len(self.receivers)])


def with_neighbors(structures: Sequence[Structure], cutoff: float) -> list[Sample]:
    """Find the pairs closer than ``cutoff`` (Å) of all structures."""
    return [Sample(s, *s.neighbors(cutoff)) for s in structures]


def pack(samples: Sequence[Sample], capacity: np.ndarray) -> list[Batch]:
    """Distribute samples, in their order, over batches of ``capacity`` (see Sample.size)."""
    groups: list[list[Sample]] = [[]]
    used = np.zeros(3, int)
    for sample in samples:
        if np.any(sample.size > capacity):
            raise ValueError(f"a structure of size {sample.size} exceeds the capacity {capacity}")
        if np.any(used + sample.size > capacity):
            groups.append([])
            used = np.zeros(3, int)
        groups[-1].append(sample)
        used += sample.size
    return [_batch(group, capacity) for group in groups]


def _batch(samples: Sequence[Sample], capacity: np.ndarray) -> Batch:
    n_graphs, n_nodes, n_edges = capacity + 1  # at least one of each is padding
    sizes = np.array([sample.size for sample in samples])
    first = np.cumsum(sizes[:, 1]) - sizes[:, 1]
    structures = [sample.structure for sample in samples]
    n_node = _padded([sizes[:, 1]], n_graphs, 0)
    n_node[-1] = n_nodes - n_node.sum()
    real = np.arange(n_graphs) < len(samples)
    senders = [s.senders + f for s, f in zip(samples, first, strict=True)]
    receivers = [s.receivers + f for s, f in zip(samples, first, strict=True)]
    graph = Graph(
        nodes=Nodes(np.zeros(n_nodes, np.int32), mask=np.arange(n_nodes) < sizes[:, 1].sum()),
        edges=Edges(
            _padded([s.vectors for s in samples], n_edges, 100.0).astype(np.float32),
            mask=np.arange(n_edges) < sizes[:, 2].sum(),
        ),
        senders=_padded(senders, n_edges, n_nodes - 1).astype(np.int32),
        receivers=_padded(receivers, n_edges, n_nodes - 1).astype(np.int32),
        n_node=n_node.astype(np.int32),
    )
    return Batch(
        graph=graph,
        energy=_padded([[s.energy for s in structures]], n_graphs, 0.0).astype(np.float32),
        forces=_padded([s.forces for s in structures], n_nodes, 0.0).astype(np.float32),
        virial=_padded([[s.virial for s in structures]], n_graphs, 0.0).astype(np.float32),
        n_atoms=np.where(real, n_node, 1).astype(np.float32),
        real=real,
    )


def _padded(parts: Sequence[np.ndarray], rows: int, fill: float) -> np.ndarray:
    array = np.concatenate([np.asarray(part) for part in parts])
    padding = np.full((rows - len(array), *array.shape[1:]), fill, array.dtype)
    return np.concatenate([array, padding])
