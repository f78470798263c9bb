"""The edge operations as kernels for GPUs, in Pallas through Triton; on a CPU they are interpreted.

A program takes one centre atom and one block of channels, and walks over the atom's edges. What an
edge needs besides its channels, XLA computes: the matrices of the paths, Clebsch-Gordan
coefficients times harmonics, and the place of its distance between the knots of the splines. So
the derivatives of all that are XLA's, and the kernels hold products over channels alone.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lammps_mace.kernels import pallas_gpu as gpu
from lammps_mace.kernels.edges import EdgeFunctions, EdgeOperands, EdgeProgram, Radial, Spline
from lammps_mace.kernels.edges import xla as edges_xla
from lammps_mace.kernels.edges.gpu_kernels import EdgeKernels
from lammps_mace.kernels.edges.kinds import kinds_as_channels
from lammps_mace.kernels.spline_place import spline_place_and_slopes


class _Geometry(NamedTuple):
    """What the kernels read of each edge of a chunk.

    Attributes:
        matrices: [chunk_edges, columns], elements of the matrices of all paths.
        place: int32 [chunk_edges], rows of the splines of the knots before the distances.
        pieces: [chunk_edges, 2 (degree + 1)], the pieces of the splines there and their slopes,
            1/Å; zero for edges that do not count.
        inside: bool [chunk_edges], the others do not count.
    """

    matrices: jax.Array
    place: jax.Array
    pieces: jax.Array
    inside: jax.Array


def forward(program: EdgeProgram, edges: EdgeOperands) -> tuple[jax.Array, ...]:
    """See :func:`lammps_mace.kernels.edges.edges_forward`."""
    program, edges = kinds_as_channels(program, edges)
    if not program.paths:
        return edges_xla.forward(program, edges)
    kernels, spline = EdgeKernels(program), isinstance(edges.radial, Spline)
    here = _chunk(edges.vectors, edges)
    geometry = _geometry(kernels, edges.radial, here)
    weights = _weights(kernels, edges.radial, geometry, _distances(kernels, here))
    atoms = len(edges.starts)
    return gpu.call(
        lambda interpret: partial(kernels.forward, spline),
        [jax.ShapeDtypeStruct(shape, here.dtype) for shape in program.result_shapes(atoms)],
        (atoms, kernels.lanes.blocks), kernels.lanes.warps, _arrays(edges, geometry, weights),
    )  # fmt: skip


def backward(
    program: EdgeProgram,
    edges: EdgeOperands,
    adjoints: tuple[jax.Array, ...],
    gradient: jax.Array,
    sent_adjoint: jax.Array | None,
) -> tuple[jax.Array, jax.Array | None]:
    """See :func:`lammps_mace.kernels.edges.edges_backward`."""
    program, edges = kinds_as_channels(program, edges)
    if not program.paths:
        return edges_xla.backward(program, edges, adjoints, gradient, sent_adjoint)
    kernels, spline = EdgeKernels(program), isinstance(edges.radial, Spline)
    here = _chunk(edges.vectors, edges)
    geometry, distances = _geometry(kernels, edges.radial, here), _distances(kernels, here)
    weights, pull_weights = jax.vjp(
        lambda r: _weights(kernels, edges.radial, geometry, r), distances
    )
    # Rows of no atom's edges are never written: they must be zero.
    dmatrices = jnp.zeros((kernels.lanes.blocks, *geometry.matrices.shape), here.dtype)
    blocks = kernels.lanes.blocks, edges.chunk_edges
    shape = blocks if spline else weights.shape
    updated = [dmatrices, jnp.zeros(shape, here.dtype)]
    if sent_adjoint is not None:
        updated.append(sent_adjoint)
    found = gpu.call(
        partial(partial, kernels.backward, spline, sent_adjoint is not None),
        [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in updated],
        (len(edges.starts), kernels.lanes.blocks), 1,  # warp: sums over channels stay within it
        [*_arrays(edges, geometry, weights), *adjoints], updated,
    )  # fmt: skip
    along = found[1].sum(axis=0) if spline else pull_weights(found[1])[0]
    _, pull = jax.vjp(lambda v: _directions(kernels, _safe(kernels, v)), here)
    (share,) = pull(found[0].sum(axis=0))
    share += here * (along / distances)[:, None]
    share = _chunk(gradient, edges) + jnp.where(geometry.inside[:, None], share, 0.0)
    gradient = jax.lax.dynamic_update_slice_in_dim(gradient, share, edges.starts[0], 0)
    return gradient, None if sent_adjoint is None else found[2]


def _chunk(rows: jax.Array, edges: EdgeOperands) -> jax.Array:
    """Return the rows of the chunk's edges, and what follows them, of an array of all edges."""
    return jax.lax.dynamic_slice_in_dim(rows, edges.starts[0], edges.chunk_edges)


def _arrays(edges: EdgeOperands, geometry: _Geometry, weights: jax.Array) -> list[jax.Array]:
    """Return what the kernels read, in their order."""
    return [edges.starts, edges.ends, edges.senders, *geometry[:3], weights, edges.sent]


def _geometry(kernels: EdgeKernels, radial: Radial, vectors: jax.Array) -> _Geometry:
    inside, safe = _inside(kernels, vectors), _safe(kernels, vectors)
    matrices = _directions(kernels, safe)
    if isinstance(radial, EdgeFunctions):
        return _Geometry(matrices, jnp.zeros(1, jnp.int32), jnp.zeros((1, 1)), inside)
    distances = _distances(kernels, vectors)
    place, slopes = spline_place_and_slopes(kernels.program.grid(radial), distances)
    rows = place.knots if radial.first_rows is None else place.knots + radial.first_rows
    pieces = jnp.where(inside[:, None], jnp.concatenate([place.pieces, slopes], axis=1), 0.0)
    return _Geometry(matrices, rows, pieces, inside)


def _weights(
    kernels: EdgeKernels, radial: Radial, geometry: _Geometry, distances: jax.Array
) -> jax.Array:
    """Return the table of splines, or the weights of each edge."""
    if isinstance(radial, Spline):
        return radial.table
    weights = radial.weights(len(kernels.program.paths), kernels.channels, distances)
    return jnp.where(geometry.inside[:, None, None], weights, 0.0)


def _distances(kernels: EdgeKernels, vectors: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(_safe(kernels, vectors) ** 2, axis=1))


def _inside(kernels: EdgeKernels, vectors: jax.Array) -> jax.Array:
    """Return which edges count, those that are not zero and end before the cutoff."""
    squared = jnp.sum(vectors**2, axis=1)
    cutoff = jnp.asarray(kernels.program.cutoff, vectors.dtype)
    return (squared > 0.0) & (jnp.sqrt(squared) < cutoff)


def _safe(kernels: EdgeKernels, vectors: jax.Array) -> jax.Array:
    """Return the vectors, and any harmless ones in place of those that do not count."""
    harmless = jnp.asarray(0.25 * kernels.program.cutoff, vectors.dtype)
    return jnp.where(_inside(kernels, vectors)[:, None], vectors, harmless)


def _directions(kernels: EdgeKernels, vectors: jax.Array) -> jax.Array:
    coefficients = jnp.asarray(kernels.coefficients, vectors.dtype)
    return jnp.matmul(
        edges_xla.edge_harmonics(kernels.program, vectors), coefficients, precision="highest"
    )
