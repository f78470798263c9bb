"""Edge operations: sums of messages over the neighbours of a chunk of atoms, and their gradient.

For centre atom i, with r = |D_ij| and R the radial weights of path p = (l1, l2) -> l,

    A_i[m, p c] = sum_j R_pc(r_ij) sum_{m1 m2} CG_p[m1, m2, m] Y_{l2 m2}(D_ij / r_ij) h_j[m1, c].

The edges of an atom are consecutive rows. Edges with r = 0 or r >= cutoff contribute exactly zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from lammps_mace.kernels.backends import implementation
from lammps_mace.kernels.packing import from_panels, in_blocks, in_panels
from lammps_mace.kernels.spline import Grid, spline_degree

BLOCK = 16  # channels that lie together in a packed table, whatever the vector width


@dataclass(frozen=True, eq=False)
class EdgePath:
    """One Clebsch-Gordan product.

    Attributes:
        source: index into the source degrees.
        degree: of the spherical harmonics.
        target: index into the target degrees.
        coefficients: float64 [2 l1 + 1, 2 degree + 1, 2 l + 1].
    """

    source: int
    degree: int
    target: int
    coefficients: np.ndarray


@dataclass(frozen=True, eq=False)
class EdgeProgram:
    """What an edge operation computes; compared by identity.

    Attributes:
        source_degrees: of the blocks of ``sent``, in their order.
        target_degrees: of the results.
        paths: in the order of the radial weights.
        channels: of each block.
        cutoff: Å.
        knot_scale: Å, of :class:`lammps_mace.kernels.spline.Grid`; only for splines.
        n_splines: tables of splines that follow each other, one for each pair of species.
        kinds: of senders. With more than one, ``senders`` are kinds, each with a row of ``sent``,
            and the sums over those of each kind stay apart, in channels of their own.
    """

    source_degrees: tuple[int, ...]
    target_degrees: tuple[int, ...]
    paths: tuple[EdgePath, ...]
    channels: int
    cutoff: float
    knot_scale: float = 0.0
    n_splines: int = 1
    kinds: int = 1

    @cached_property
    def source_rows(self) -> tuple[int, ...]:
        """Return the first row of each source block in ``sent``."""
        sizes = [2 * degree + 1 for degree in self.source_degrees]
        return tuple(sum(sizes[:i]) for i in range(len(sizes)))

    @cached_property
    def paths_to(self) -> tuple[tuple[int, ...], ...]:
        """Return the indices of the paths that end in each target, in the order of the result."""
        return tuple(
            tuple(i for i, path in enumerate(self.paths) if path.target == target)
            for target in range(len(self.target_degrees))
        )

    def grid(self, radial: Spline) -> Grid:
        """Return the knots of the splines."""
        degree = spline_degree(radial.table.dtype)
        knots = radial.table.shape[1] // self.n_splines - degree
        return Grid(self.cutoff, knots, self.knot_scale, degree)

    def result_shapes(self, atoms: int) -> tuple[tuple[int, int, int], ...]:
        """Return the shape of each result, [atoms, 2l+1, paths to it * kinds * channels]."""
        return tuple(
            (atoms, 2 * degree + 1, len(paths) * self.kinds * self.channels)
            for degree, paths in zip(self.target_degrees, self.paths_to, strict=True)
        )


class Spline(NamedTuple):
    """Radial weights as splines of the distance: cubic in float32, of degree 7 in float64.

    Attributes:
        table: packed coefficients, see :func:`pack_spline`.
        first_rows: int32 [chunk_edges], the first row of the spline of each edge; None: there is
            one for all.
    """

    table: jax.Array
    first_rows: jax.Array | None = None


class EdgeFunctions(NamedTuple):
    """Radial weights made of functions that are given for each edge.

    The weights of edge e are factors[factor_rows[e]] * (values[rows[e], 0] @ matrix). Row
    e - starts[0] of arrays of the chunk belongs to edge e.

    Attributes:
        values: [chunk_edges or more, 1 or 2, n_functions], the functions and their slopes, 1/Å;
            without these they do for :func:`edges_forward`.
        matrix: packed, see :func:`pack_map`; None: each path has the functions as its weights.
        factors: [rows, n_paths * channels]; None: 1.
        factor_rows: int32 [chunk_edges], None without factors.
        rows: int32 [n_edges], of the values of each edge; None: they are those of the chunk.
    """

    values: jax.Array
    matrix: jax.Array | None = None
    factors: jax.Array | None = None
    factor_rows: jax.Array | None = None
    rows: jax.Array | None = None

    def of_edges(self, edges: jax.Array) -> EdgeFunctions:
        """Return those of a chunk, whose edges are ``edges`` [chunk_edges]."""
        if self.rows is None:
            return self
        return self._replace(values=self.values[self.rows[edges]], rows=None)

    def weights(self, n_paths: int, channels: int, distances: jax.Array) -> jax.Array:
        """Return the weights [chunk_edges, n_paths, channels].

        Args:
            distances: [chunk_edges], Å, those of the values; derivatives in them are the slopes.
        """
        functions = self.values[:, 0]
        if self.values.shape[1] == 2:
            step = distances - jax.lax.stop_gradient(distances)  # zero, but not its derivative
            functions = functions + self.values[:, 1] * step[:, None]
        if self.matrix is None:
            return jnp.tile(functions[:, None], (1, n_paths, channels // functions.shape[1]))
        weights = functions @ from_panels(self.matrix, n_paths * channels)
        if self.factors is not None:
            weights = weights * self.factors[self.factor_rows]
        return weights.reshape(len(functions), n_paths, channels)


Radial = Spline | EdgeFunctions


@struct.dataclass
class EdgeOperands:
    """The edges of B centre atoms, what weighs them, and what their senders send.

    Attributes:
        radial: weights of the paths.
        vectors: [n_edges, 3], r_receiver - r_sender, Å.
        starts, ends: int32 [B]; the edges of atom i are rows starts[i] to ends[i], within
            starts[0] to starts[0] + chunk_edges. Other rows of that range belong to other atoms, or
            are padding. Padding atoms have start == end.
        senders: int32 [n_edges], rows of ``sent``.
        sent: [n_senders, dim, channels], the source blocks one after the other.
        chunk_edges: number of rows that are read; ``vectors`` has them all.
    """

    radial: Radial
    vectors: jax.Array
    starts: jax.Array
    ends: jax.Array
    senders: jax.Array
    sent: jax.Array
    chunk_edges: int = struct.field(pytree_node=False)


def pack_spline(coefficients: np.ndarray) -> np.ndarray:
    """Arrange coefficients [n_splines * (knots + degree), n_paths, channels] for the kernels.

    Returns:
        [blocks, n_splines * (knots + degree), n_paths, BLOCK], channels filled up with zeros: the
        rows that an edge needs lie together.
    """
    return np.ascontiguousarray(in_blocks(coefficients, BLOCK).transpose(2, 0, 1, 3))


def pack_map(matrix: np.ndarray) -> np.ndarray:
    """Arrange a matrix [n_functions, n_paths * channels] for the kernels; path by path."""
    return in_panels(matrix)


def edges_forward(
    program: EdgeProgram, edges: EdgeOperands, *, backend: str
) -> tuple[jax.Array, ...]:
    """Return the sums over the neighbours of B centre atoms, one array per target degree.

    Args:
        backend: "xla", "cpu" or "gpu".

    Returns:
        [B, 2l+1, paths to the target * kinds * channels], channels fastest, paths in their order.
    """
    return implementation("edges", backend).forward(program, edges)


def edges_backward(
    program: EdgeProgram,
    edges: EdgeOperands,
    adjoints: tuple[jax.Array, ...],
    gradient: jax.Array,
    sent_adjoint: jax.Array | None,
    *,
    backend: str,
) -> tuple[jax.Array, jax.Array | None]:
    """Add the gradient of sum(results * adjoints) to ``gradient`` and ``sent_adjoint``.

    Both are updated in place where XLA can do so.

    Args:
        adjoints: of the results of :func:`edges_forward`.
        gradient: [n_edges, 3].
        sent_adjoint: [n_senders, dim, channels], or None where it is not wanted, as with kinds of
            senders, whose rows are constants.

    Returns:
        (gradient, sent_adjoint).
    """
    return implementation("edges", backend).backward(
        program, edges, tuple(adjoints), gradient, sent_adjoint
    )
