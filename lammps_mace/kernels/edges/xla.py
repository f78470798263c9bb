"""The edge operations in plain XLA: the reference, and what runs on every other platform."""

from __future__ import annotations

from typing import NamedTuple

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp

from lammps_mace.kernels.edges import EdgeFunctions, EdgeOperands, EdgeProgram, Radial
from lammps_mace.kernels.edges.kinds import kinds_as_channels
from lammps_mace.kernels.spline_place import spline_place


class _Rows(NamedTuple):
    """Where the chunk's edges are.

    Attributes:
        edges: int32 [chunk_edges], rows of the arrays of all edges, valid ones.
        receivers: int32 [chunk_edges], centre atoms of the chunk.
        owned: bool [chunk_edges], False for rows that belong to no atom of the chunk.
    """

    edges: jax.Array
    receivers: jax.Array
    owned: jax.Array


def forward(program: EdgeProgram, edges: EdgeOperands) -> tuple[jax.Array, ...]:
    """See :func:`lammps_mace.kernels.edges.edges_forward`."""
    program, edges = kinds_as_channels(program, edges)
    rows = _select(edges)
    h = edges.sent[edges.senders[rows.edges]]
    radial = _of_chunk(edges.radial, rows)
    return _sums(program, radial, rows, len(edges.starts), edges.vectors[rows.edges], h)


def backward(
    program: EdgeProgram,
    edges: EdgeOperands,
    adjoints: tuple[jax.Array, ...],
    gradient: jax.Array,
    sent_adjoint: jax.Array | None,
) -> tuple[jax.Array, jax.Array | None]:
    """See :func:`lammps_mace.kernels.edges.edges_backward`."""
    program, edges = kinds_as_channels(program, edges)
    rows = _select(edges)
    vectors, senders = edges.vectors[rows.edges], edges.senders[rows.edges]
    h, radial = edges.sent[senders], _of_chunk(edges.radial, rows)

    def sums(v: jax.Array, h: jax.Array) -> tuple[jax.Array, ...]:
        return _sums(program, radial, rows, len(edges.starts), v, h)

    _, pull = jax.vjp(sums, vectors, h)
    dv, dh = pull(adjoints)
    gradient = gradient.at[rows.edges].add(_masked(rows, dv), indices_are_sorted=True)
    if sent_adjoint is not None:
        sent_adjoint = sent_adjoint.at[senders].add(_masked(rows, dh))
    return gradient, sent_adjoint


def _select(edges: EdgeOperands) -> _Rows:
    starts, ends, chunk_edges = edges.starts, edges.ends, edges.chunk_edges
    position = jnp.arange(chunk_edges, dtype=jnp.int32)
    # The atom whose edges start last at or before a row; atoms without edges mark nothing.
    first = jnp.where(ends > starts, starts - starts[0], chunk_edges)
    atoms = jnp.arange(starts.shape[0], dtype=jnp.int32)
    marks = jnp.full(chunk_edges, -1, jnp.int32).at[first].set(atoms, mode="drop")
    last_start = jax.lax.cummax(jnp.where(marks >= 0, position, -1))
    receivers = jnp.maximum(marks[jnp.maximum(last_start, 0)], 0)
    rows = starts[0] + position
    owned = (last_start >= 0) & (rows < ends[receivers])
    return _Rows(jnp.minimum(rows, len(edges.vectors) - 1), receivers, owned)


def _of_chunk(radial: Radial, rows: _Rows) -> Radial:
    return radial.of_edges(rows.edges) if isinstance(radial, EdgeFunctions) else radial


def _masked(rows: _Rows, values: jax.Array) -> jax.Array:
    return jnp.where(rows.owned.reshape(-1, *(1,) * (values.ndim - 1)), values, 0.0)


def _sums(
    program: EdgeProgram,
    radial: Radial,
    rows: _Rows,
    atoms: int,
    vectors: jax.Array,
    h: jax.Array,
) -> tuple[jax.Array, ...]:
    squared = jnp.sum(vectors**2, axis=-1)
    cutoff = jnp.asarray(program.cutoff, vectors.dtype)
    inside = rows.owned & (squared > 0.0) & (jnp.sqrt(squared) < cutoff)
    # Any harmless vector: its message is replaced by zero.
    vectors = jnp.where(inside[:, None], vectors, 0.25 * cutoff)
    distances = jnp.sqrt(jnp.sum(vectors**2, axis=-1))
    weights = _weights(program, radial, distances)
    weights = jnp.where(inside[:, None, None], weights, 0.0)
    harmonics = edge_harmonics(program, vectors)
    return tuple(
        _sum_to(program, paths, weights, harmonics, h, rows.receivers, atoms)
        if paths
        else jnp.zeros(shape, h.dtype)
        for paths, shape in zip(program.paths_to, program.result_shapes(atoms), strict=True)
    )


def _sum_to(
    program: EdgeProgram,
    paths: tuple[int, ...],
    weights: jax.Array,
    harmonics: jax.Array,
    h: jax.Array,
    receivers: jax.Array,
    atoms: int,
) -> jax.Array:
    messages = []
    for index in paths:
        path = program.paths[index]
        y = harmonics[:, path.degree**2 : (path.degree + 1) ** 2]
        row, size = program.source_rows[path.source], path.coefficients.shape[0]
        coupling = jnp.einsum(
            "abo,eb->eoa", path.coefficients.astype(y.dtype), y, precision="highest"
        )
        product = jnp.matmul(coupling, h[:, row : row + size], precision="highest")
        messages.append(product * weights[:, index, None, :])
    return jax.ops.segment_sum(jnp.concatenate(messages, axis=2), receivers, atoms)


def edge_harmonics(program: EdgeProgram, vectors: jax.Array) -> jax.Array:
    """Return the spherical harmonics of vectors that are not zero, all degrees, [n, harmonics]."""
    highest = max((path.degree for path in program.paths), default=0)
    irreps = e3nn.Irreps.spherical_harmonics(highest)
    return e3nn.spherical_harmonics(
        irreps, vectors, normalize=True, normalization="component"
    ).array


def _weights(program: EdgeProgram, radial: Radial, distances: jax.Array) -> jax.Array:
    # [chunk_edges, n_paths, channels]
    if isinstance(radial, EdgeFunctions):
        return radial.weights(len(program.paths), program.channels, distances)
    blocks, _, paths, width = radial.table.shape
    grid = program.grid(radial)
    place = spline_place(grid, distances)
    first = place.knots if radial.first_rows is None else place.knots + radial.first_rows
    rows = first[:, None] + jnp.arange(grid.degree + 1)
    near = radial.table[:, rows]  # [blocks, edges, degree + 1, paths, width]
    pieces = place.pieces
    values = jnp.sum(pieces[None, :, :, None, None] * near, axis=2)
    return values.transpose(1, 2, 0, 3).reshape(-1, paths, blocks * width)[:, :, : program.channels]
