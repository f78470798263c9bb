"""Graph: atoms as nodes, neighbour pairs as directed edges; the only thing a model sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class Nodes:
    """Per-atom data.

    Attributes:
        species: int32 [n_nodes], index into the sorted atomic numbers of the model.
        positions: [n_nodes, 3], Å; None when the edges carry their vectors.
        mask: bool [n_nodes], False for padding.
        features: arrays with leading axis n_nodes.
    """

    species: jax.Array
    positions: jax.Array | None = None
    mask: jax.Array | None = None
    features: dict[str, Any] = struct.field(default_factory=dict)


@struct.dataclass
class Edges:
    """Per-pair data; either ``vectors`` or node positions (with ``shifts`` and a cell) are given.

    Attributes:
        vectors: [n_edges, 3], r_receiver - r_sender, Å.
        shifts: [n_edges, 3], whole cells that the receiver's image is away.
        mask: bool [n_edges], False for padding.
        features: arrays with leading axis n_edges.
    """

    vectors: jax.Array | None = None
    shifts: jax.Array | None = None
    mask: jax.Array | None = None
    features: dict[str, Any] = struct.field(default_factory=dict)


@struct.dataclass
class Globals:
    """Per-structure data.

    Attributes:
        cell: [n_graphs, 3, 3], rows are cell vectors, Å.
        charge: [n_graphs], total charge, e.
        head: int [n_graphs], readout head; None means head 0.
        features: arrays with leading axis n_graphs.
    """

    cell: jax.Array | None = None
    charge: jax.Array | None = None
    head: jax.Array | None = None
    features: dict[str, Any] = struct.field(default_factory=dict)


@struct.dataclass
class LongRange:
    """Pairs within the cutoff of the Coulomb sum; they exchange no messages.

    Attributes:
        edges: see :class:`Edges`.
        senders, receivers: int32 [n_long_range_edges].
    """

    edges: Edges
    senders: jax.Array
    receivers: jax.Array


@struct.dataclass
class Graph:
    """One structure, or several packed one after the other.

    Attributes:
        nodes, edges, globals, long_range: see the classes of these names.
        senders, receivers: int32 [n_edges]; a message goes from sender to receiver.
        n_node: int32 [n_graphs], nodes of each structure.
    """

    nodes: Nodes
    edges: Edges
    senders: jax.Array
    receivers: jax.Array
    n_node: jax.Array
    globals: Globals = struct.field(default_factory=Globals)
    long_range: LongRange | None = None

    @property
    def n_nodes(self) -> int:
        """Rows of the node arrays, padding included."""
        return self.nodes.species.shape[0]

    @property
    def n_edges(self) -> int:
        """Rows of the edge arrays, padding included."""
        return self.senders.shape[0]

    def edge_vectors(self) -> jax.Array:
        """Return r_receiver - r_sender of every edge, [n_edges, 3], Å."""
        return self._vectors(self.edges, self.senders, self.receivers)

    def long_range_pairs(self) -> LongRange:
        """Return the pairs of the Coulomb sum.

        Raises:
            ValueError: the graph has none.
        """
        if self.long_range is None:
            raise ValueError("use_coulomb_term: the graph needs long_range; it is None")
        return self.long_range

    def long_range_vectors(self) -> jax.Array:
        """Return r_receiver - r_sender of every long-range pair, [n_long_range_edges, 3], Å."""
        pairs = self.long_range_pairs()
        return self._vectors(pairs.edges, pairs.senders, pairs.receivers)

    def _vectors(self, edges: Edges, senders: jax.Array, receivers: jax.Array) -> jax.Array:
        if edges.vectors is not None:
            return edges.vectors
        positions = self.nodes.positions
        if positions is None:
            raise ValueError("a graph needs edges.vectors or nodes.positions; both are None")
        vectors = positions[receivers] - positions[senders]
        if edges.shifts is None or self.globals.cell is None:
            return vectors
        cells = self.globals.cell[self.node_graph()[senders]]
        return vectors + jnp.einsum("ei,eij->ej", edges.shifts, cells)

    def node_graph(self) -> jax.Array:
        """Return the structure that each node belongs to, int32 [n_nodes]."""
        n_graphs = self.n_node.shape[0]
        return jnp.repeat(jnp.arange(n_graphs), self.n_node, total_repeat_length=self.n_nodes)

    def node_mask(self) -> jax.Array:
        """Return which nodes are real, bool [n_nodes]."""
        return jnp.ones(self.n_nodes, bool) if self.nodes.mask is None else self.nodes.mask

    def sum_nodes(self, values: jax.Array) -> jax.Array:
        """Sum ``values`` [n_nodes, ...] over the nodes of each structure, [n_graphs, ...]."""
        return jax.ops.segment_sum(values, self.node_graph(), self.n_node.shape[0])

    def with_node_features(self, **features: Any) -> Graph:
        """Return a copy with these node features added or replaced."""
        nodes = replace(self.nodes, features={**self.nodes.features, **features})
        return replace(self, nodes=nodes)

    def with_edge_features(self, **features: Any) -> Graph:
        """Return a copy with these edge features added or replaced."""
        edges = replace(self.edges, features={**self.edges.features, **features})
        return replace(self, edges=edges)
