"""StepLayout: where the atoms and pairs of one step stand in the padded arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import jax
import numpy as np

from lammps_mace._pairs import bound_pairs
from lammps_mace.engine.atom_layout import AtomLayout
from lammps_mace.engine.capacity import CPU_CHUNKS, Capacity, ChunkRule
from lammps_mace.engine.interface import DomainGraph
from lammps_mace.engine.listed_graph import ListedGraph
from lammps_mace.engine.step_arrays import StepArrays

G = TypeVar("G", DomainGraph, ListedGraph)


class PackedPairs(Protocol):
    """The pairs of one step in the engine's order, padded to the capacity.

    Attributes:
        vectors, senders, sender_species: as in :class:`StepArrays`.
    """

    vectors: Any
    senders: Any
    sender_species: Any

    def unpack_gradient(self, gradient: jax.Array, out: Any = None) -> Any:
        """Return dE/d displacements in the graph's order, float64 [n_pairs, 3].

        Args:
            gradient: dE/d vectors.
            out: write it there; only for pairs on the host.
        """


@dataclass(frozen=True, eq=False)
class StepLayout(Generic[G]):
    """Which atom and which pair stands where.

    Attributes:
        graph: of the step.
        atoms: the layout of its atoms.
        pair_bounds: int32 [capacity.slots + 1]; the pairs of slot i are those from [i] to [i + 1].
    """

    graph: G
    atoms: AtomLayout
    pair_bounds: np.ndarray

    @property
    def capacity(self) -> Capacity:
        """Sizes of the arrays."""
        return self.atoms.capacity

    @property
    def n_pairs(self) -> int:
        """Pairs of atoms that are part of the model."""
        return int(self.pair_bounds[-1])

    def arrays(self, pairs: PackedPairs) -> StepArrays:
        """Return the arrays of the step."""
        arrays: dict[str, Any] = {
            "vectors": pairs.vectors,
            "senders": pairs.senders,
            "sender_species": pairs.sender_species,
            "bounds": self.pair_bounds,
            **self.atoms.constant_arrays,
        }
        graph = self.graph
        if isinstance(graph, DomainGraph) and graph.energy_mask is not None:
            arrays["energy_mask"] = self.atoms.to_slots(graph.energy_mask)
        return StepArrays(**arrays)


def lay_out(
    graph: G,
    capacity: Capacity,
    rule: ChunkRule = CPU_CHUNKS,
    last: AtomLayout | None = None,
) -> StepLayout[G]:
    """Return where atoms and pairs stand, at this capacity or, where it is too small, a larger one.

    Args:
        rule: chooses the size of chunks when the capacity grows.
        last: layout of the last step: it is taken again while it fits.
    """
    if last is not None and last.fits(graph, capacity):
        bounds, chunk_pairs = _pair_bounds(graph, last, capacity.slots)
        # Of everything else there is as much as before.
        if chunk_pairs <= capacity.chunk_pairs and graph.n_pairs <= capacity.pairs:
            return StepLayout(graph, last, bounds)
    layout = AtomLayout.of(graph, rule, capacity)
    bounds, chunk_pairs = _pair_bounds(graph, layout, capacity.slots)
    if capacity.holds(_need(graph, layout, chunk_pairs)):
        return StepLayout(graph, layout, bounds)
    layout = AtomLayout.of(graph, rule, Capacity())
    _, chunk_pairs = _pair_bounds(graph, layout, 0)
    layout = replace(layout, capacity=capacity.grown_to(_need(graph, layout, chunk_pairs)))
    bounds, _ = _pair_bounds(graph, layout, layout.capacity.slots)
    return StepLayout(graph, layout, bounds)


def _pair_bounds(
    graph: DomainGraph | ListedGraph, layout: AtomLayout, n_slots: int
) -> tuple[np.ndarray, int]:
    """Return the bounds of the pairs of at least ``n_slots`` slots, and the most of a chunk."""
    bounds = np.empty(max(n_slots, layout.n_slots) + 1, np.int32)
    chunk_pairs = bound_pairs(
        layout.order, layout.slots, graph.offsets, layout.chunk_atoms, bounds
    )  # fmt: skip
    return bounds, chunk_pairs


def _need(graph: DomainGraph | ListedGraph, layout: AtomLayout, chunk_pairs: int) -> Capacity:
    """Return the sizes that are needed, without a margin."""
    return Capacity(
        chunk_atoms=layout.chunk_atoms,
        chunks=max(len(layout.chunk_species), 1),
        ghosts=graph.n_total - graph.n_local + 1,
        chunk_pairs=max(chunk_pairs, 1),
        pairs=graph.n_pairs,
        atoms=graph.n_total,
    )
