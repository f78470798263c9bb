"""The edge operations as kernels for GPUs, in Pallas through Triton; on a CPU they are interpreted.

A program takes one centre atom and one block of channels, and walks over the atom's edges. What an
edge needs besides its channels, XLA computes: the matrices of the paths, Clebsch-Gordan
coefficients times harmonics, and the place of its distance between the knots of the splines. So
the derivatives of all that are XLA's, and the kernels hold products over channels alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.kernels import pallas_gpu as gpu
from lammps_mace.kernels.edges import BLOCK, EdgeOperands, EdgeProgram, EdgeWeights, Radial, Spline
from lammps_mace.kernels.edges import xla as edges_xla
from lammps_mace.kernels.spline import Grid


class _Entry(NamedTuple):
    """An element of an edge's matrix of a path.

    Attributes:
        column: in the array of all elements.
        source: row of ``sent``.
        constant: it does not depend on the edge.
    """

    column: int
    source: int
    constant: bool


class _Kernels:
    """The kernels of one program.

    Attributes:
        coefficients: [harmonics, columns], what makes the elements of the matrices of harmonics.
        rows: per path and row of its target the elements there.
    """

    def __init__(self, program: EdgeProgram) -> None:
        self.program = program
        self.channels = program.channels
        self.lanes = gpu.Lanes.of(self.channels)
        self.n_source = program.source_rows[-1] + 2 * program.source_degrees[-1] + 1
        highest = max(path.degree for path in program.paths)
        columns: list[np.ndarray] = []
        self.rows: list[list[list[_Entry]]] = []
        for path in program.paths:
            first = program.source_rows[path.source]
            coefficients = np.asarray(path.coefficients, np.float64)
            rows: list[list[_Entry]] = []
            for m in range(coefficients.shape[2]):
                rows.append([])
                for k in np.flatnonzero(np.abs(coefficients[:, :, m]).max(axis=1) > 1e-12):
                    rows[-1].append(_Entry(len(columns), first + int(k), path.degree == 0))
                    column = np.zeros((highest + 1) ** 2)
                    column[path.degree**2 : (path.degree + 1) ** 2] = coefficients[k, :, m]
                    columns.append(column)
            self.rows.append(rows)
        self.coefficients = np.stack(columns, axis=1)

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """Return per path its target and its place among the paths that end there."""
        return [(p.target, self.program.paths_to[p.target].index(i))
                for i, p in enumerate(self.program.paths)]  # fmt: skip

    def forward(self, spline: bool, *refs: Any) -> None:
        """Write the sums of one atom.

        Args:
            spline: the radial weights are splines, not given.
        """
        starts, ends, senders, matrices, place, pieces, radial, sent, *results = refs
        lane, there = self.lanes.here()
        atom, first = gpu.program_id(0), gpu.load(starts, None, 0)

        def add(edge: jax.Array, sums: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
            row, sender = edge - first, gpu.load(senders, None, edge)
            h = [gpu.load(sent, there, sender, k, lane) for k in range(self.n_source)]
            new: list[jax.Array] = []
            weigh = self._weigh(spline, radial, place, row, lane, there)
            taps = [gpu.load(pieces, None, row, j) for j in range(4)] if spline else []
            for index, rows in enumerate(self.rows):
                (weight,) = weigh(index, taps)
                for entries in rows:
                    product = sum(
                        gpu.load(matrices, None, row, e.column) * h[e.source] for e in entries
                    )
                    new.append(sums[len(new)] + weight * product if entries else sums[len(new)])
            return tuple(new)

        zero = jnp.zeros(self.lanes.size, sent.dtype)
        n = sum(map(len, self.rows))
        sums = iter(
            jax.lax.fori_loop(
                gpu.load(starts, None, atom), gpu.load(ends, None, atom), add, (zero,) * n
            )
        )
        for rows, (target, position) in zip(self.rows, self.places, strict=True):
            for m in range(len(rows)):
                gpu.store(
                    results[target], there, next(sums), atom, m, position * self.channels + lane
                )

    def backward(self, spline: bool, to_senders: bool, interpret: bool, *refs: Any) -> None:
        """Write the adjoints of one atom's edges, and add those of their senders.

        Args:
            spline: as for :meth:`forward`.
            to_senders: the adjoints of the senders are wanted.
            interpret: atomic sums cannot be masked, but drop what lies outside.
        """
        starts, ends, senders, matrices, place, pieces, radial, sent, *rest = refs
        n_targets = len(self.program.target_degrees)
        adjoints, updated = rest[:n_targets], rest[-2 - to_senders :]
        dmatrices, dradial = updated[:2]
        lane, there = self.lanes.here()
        atom, block, first = gpu.program_id(0), gpu.program_id(1), gpu.load(starts, None, 0)

        def one(edge: jax.Array, nothing: int) -> int:
            row, sender = edge - first, gpu.load(senders, None, edge)
            h = [gpu.load(sent, there, sender, k, lane) for k in range(self.n_source)]
            dh: list[Any] = [jnp.zeros_like(x) for x in h]
            along = jnp.zeros_like(h[0])
            weigh = self._weigh(spline, radial, place, row, lane, there)
            taps = [
                [gpu.load(pieces, None, row, j) for j in range(i, i + 4)] for i in (0, 4) if spline
            ]
            for index, (rows, (target, position)) in enumerate(
                zip(self.rows, self.places, strict=True)
            ):
                weight, *slope = weigh(index, *(taps or [[]]))
                dweight = jnp.zeros_like(along)
                for m, entries in enumerate(rows):
                    if not entries:
                        continue
                    adjoint = gpu.load(
                        adjoints[target], there, atom, m, position * self.channels + lane
                    )
                    weighted, product = weight * adjoint, jnp.zeros_like(along)
                    for e in entries:
                        element = gpu.load(matrices, None, row, e.column)
                        product += element * h[e.source]
                        dh[e.source] += element * weighted
                        if not e.constant:
                            share = jnp.sum(weighted * h[e.source])
                            gpu.store(dmatrices, None, share, block, row, e.column)
                    dweight += adjoint * product
                if spline:
                    along += slope[0] * dweight
                else:
                    gpu.store(dradial, there, dweight, row, index, lane)
            if spline:
                gpu.store(dradial, None, jnp.sum(along), block, row)
            for k in range(self.n_source if to_senders else 0):
                gpu.add(updated[2], there, interpret, dh[k], sender, k, lane)
            return nothing

        jax.lax.fori_loop(gpu.load(starts, None, atom), gpu.load(ends, None, atom), one, 0)

    def _weigh(
        self, spline: bool, radial: Any, place: Any, row: jax.Array, lane: jax.Array,
        there: jax.Array,
    ) -> Callable[..., list[jax.Array]]:  # fmt: skip
        """Return a function that gives a path's weights, and with more taps their slopes."""
        if not spline:
            return lambda path, taps: [gpu.load(radial, there, row, path, lane)]
        knot = gpu.load(place, None, row)
        block, column = lane // BLOCK, lane % BLOCK

        def weights(path: int, *taps: list[jax.Array]) -> list[jax.Array]:
            near = [gpu.load(radial, there, block, knot + j, path, column) for j in range(4)]
            return [_dot(some, near) for some in taps]

        return weights


def _dot(a: list[jax.Array], b: list[jax.Array]) -> jax.Array:
    first, *rest = (x * y for x, y in zip(a, b, strict=True))
    return sum(rest, first)


class _Geometry(NamedTuple):
    """What the kernels read of each edge of a chunk.

    Attributes:
        matrices: [chunk_edges, columns], elements of the matrices of all paths.
        place: int32 [chunk_edges], knots before the distances.
        pieces: [chunk_edges, 8], the pieces of the splines there and their slopes, 1/Å; zero for
            edges that do not count.
        inside: bool [chunk_edges], the others do not count.
    """

    matrices: jax.Array
    place: jax.Array
    pieces: jax.Array
    inside: jax.Array


def forward(program: EdgeProgram, edges: EdgeOperands) -> tuple[jax.Array, ...]:
    """See :func:`lammps_mace.kernels.edges.edges_forward`."""
    if not program.paths:
        return edges_xla.forward(program, edges)
    kernels, spline = _Kernels(program), isinstance(edges.radial, Spline)
    here = _chunk(edges.vectors, edges)
    geometry = _geometry(kernels, edges.radial, here)
    atoms = len(edges.starts)
    return gpu.call(
        lambda interpret: partial(kernels.forward, spline),
        [jax.ShapeDtypeStruct(shape, here.dtype) for shape in program.result_shapes(atoms)],
        (atoms, kernels.lanes.blocks), kernels.lanes.warps, _arrays(edges, geometry),
    )  # fmt: skip


def backward(
    program: EdgeProgram,
    edges: EdgeOperands,
    adjoints: tuple[jax.Array, ...],
    gradient: jax.Array,
    sent_adjoint: jax.Array | None,
) -> tuple[jax.Array | None, ...]:
    """See :func:`lammps_mace.kernels.edges.edges_backward`."""
    if not program.paths:
        return edges_xla.backward(program, edges, adjoints, gradient, sent_adjoint)
    kernels, spline = _Kernels(program), isinstance(edges.radial, Spline)
    here = _chunk(edges.vectors, edges)
    geometry = _geometry(kernels, edges.radial, here)
    # Rows of no atom's edges are never written: they must be zero.
    dmatrices = jnp.zeros((kernels.lanes.blocks, *geometry.matrices.shape), here.dtype)
    blocks = kernels.lanes.blocks, edges.chunk_edges
    shape = blocks if isinstance(edges.radial, Spline) else edges.radial.values.shape
    updated = [dmatrices, jnp.zeros(shape, here.dtype)]
    if sent_adjoint is not None:
        updated.append(sent_adjoint)
    found = gpu.call(
        partial(partial, kernels.backward, spline, sent_adjoint is not None),
        [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in updated],
        (len(edges.starts), kernels.lanes.blocks), 1,  # warp: sums over channels stay within it
        [*_arrays(edges, geometry), *adjoints], updated,
    )  # fmt: skip
    along = found[1].sum(axis=0) if spline else jnp.zeros(edges.chunk_edges, here.dtype)
    _, pull = jax.vjp(lambda v: _directions(kernels, _safe(kernels, v)), here)
    (share,) = pull(found[0].sum(axis=0))
    distances = jnp.sqrt(jnp.sum(_safe(kernels, here) ** 2, axis=1))
    share += here * (along / distances)[:, None]
    share = _chunk(gradient, edges) + jnp.where(geometry.inside[:, None], share, 0.0)
    gradient = jax.lax.dynamic_update_slice_in_dim(gradient, share, edges.starts[0], 0)
    rest = () if spline else (jnp.where(geometry.inside[:, None, None], found[1], 0.0),)
    return gradient, None if sent_adjoint is None else found[2], *rest


def _chunk(rows: jax.Array, edges: EdgeOperands) -> jax.Array:
    """Return the rows of the chunk's edges, and what follows them, of an array of all edges."""
    return jax.lax.dynamic_slice_in_dim(rows, edges.starts[0], edges.chunk_edges)


def _arrays(edges: EdgeOperands, geometry: _Geometry) -> list[jax.Array]:
    """Return what the kernels read, in their order."""
    return [
        edges.starts, edges.ends, edges.senders, *geometry[:3],
        _values(edges.radial, geometry), edges.sent,
    ]  # fmt: skip


def _geometry(kernels: _Kernels, radial: Radial, vectors: jax.Array) -> _Geometry:
    inside, safe = _inside(kernels, vectors), _safe(kernels, vectors)
    matrices = _directions(kernels, safe)
    if isinstance(radial, EdgeWeights):
        return _Geometry(matrices, jnp.zeros(1, jnp.int32), jnp.zeros((1, 8)), inside)
    grid = Grid(kernels.program.cutoff, radial.table.shape[1] - 3, kernels.program.knot_scale)
    distances = jnp.sqrt(jnp.sum(safe**2, axis=1))
    place, pieces, slopes = edges_xla.spline_place(grid, distances)
    pieces = jnp.where(inside[:, None], jnp.concatenate([pieces, slopes], axis=1), 0.0)
    return _Geometry(matrices, place, pieces, inside)


def _values(radial: Radial, geometry: _Geometry) -> jax.Array:
    if isinstance(radial, Spline):
        return radial.table
    return jnp.where(geometry.inside[:, None, None], radial.values, 0.0)


def _inside(kernels: _Kernels, vectors: jax.Array) -> jax.Array:
    """Return which edges count, those that are not zero and end before the cutoff."""
    squared = jnp.sum(vectors**2, axis=1)
    cutoff = jnp.asarray(kernels.program.cutoff, vectors.dtype)
    return (squared > 0.0) & (jnp.sqrt(squared) < cutoff)


def _safe(kernels: _Kernels, vectors: jax.Array) -> jax.Array:
    """Return the vectors, and any harmless ones in place of those that do not count."""
    harmless = jnp.asarray(0.25 * kernels.program.cutoff, vectors.dtype)
    return jnp.where(_inside(kernels, vectors)[:, None], vectors, harmless)


def _directions(kernels: _Kernels, vectors: jax.Array) -> jax.Array:
    coefficients = jnp.asarray(kernels.coefficients, vectors.dtype)
    return jnp.matmul(
        edges_xla.edge_harmonics(kernels.program, vectors), coefficients, precision="highest"
    )
