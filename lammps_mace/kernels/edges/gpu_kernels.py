"""The kernels for GPUs: sums over the edges of one atom, and the gradient of these sums."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.kernels import pallas_gpu as gpu
from lammps_mace.kernels.edges import BLOCK, EdgeProgram
from lammps_mace.kernels.spline import spline_degree


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


class EdgeKernels:
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
            taps = [gpu.load(pieces, None, row, j) for j in range(_taps(radial))] if spline else []
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
        adjoints, (dmatrices, dradial, *dsent) = rest[:n_targets], rest[-2 - to_senders :]
        lane, there = self.lanes.here()
        atom, block, first = gpu.program_id(0), gpu.program_id(1), gpu.load(starts, None, 0)

        def one(edge: jax.Array, nothing: int) -> int:
            row, sender = edge - first, gpu.load(senders, None, edge)
            h = [gpu.load(sent, there, sender, k, lane) for k in range(self.n_source)]
            dh: list[Any] = [jnp.zeros_like(x) for x in h]
            along = jnp.zeros_like(h[0])
            weigh, n = self._weigh(spline, radial, place, row, lane, there), _taps(radial)
            starts_of = (0, n) if spline else ()
            taps = [[gpu.load(pieces, None, row, i + j) for j in range(n)] for i in starts_of]

            def share(e: _Entry, value: jax.Array) -> None:
                gpu.store(dmatrices, None, value, block, row, e.column)

            for index, (target, position) in enumerate(self.places):
                weight, *slope = weigh(index, *(taps or [[]]))

                def adjoint_of(m: int, ref: Any = adjoints[target], p: int = position) -> jax.Array:
                    return gpu.load(ref, there, atom, m, p * self.channels + lane)

                element_of = partial(gpu.load, matrices, None, row)
                dweight = self._pull_path(index, weight, h, dh, adjoint_of, element_of, share)
                if spline:
                    along += slope[0] * dweight
                else:
                    gpu.store(dradial, there, dweight, row, index, lane)
            if spline:
                gpu.store(dradial, None, jnp.sum(along), block, row)
            for k in range(self.n_source if to_senders else 0):
                gpu.add(dsent[0], there, interpret, dh[k], sender, k, lane)
            return nothing

        jax.lax.fori_loop(gpu.load(starts, None, atom), gpu.load(ends, None, atom), one, 0)

    def _pull_path(
        self, index: int, weight: jax.Array, h: list[jax.Array], dh: list[Any],
        adjoint_of: Callable[[int], jax.Array], element_of: Callable[[int], jax.Array],
        share: Callable[[_Entry, jax.Array], None],
    ) -> jax.Array:  # fmt: skip
        """Add the adjoints of the sender's rows h to dh, and return that of the path's weight.

        Args:
            adjoint_of: reads the adjoint of a row of the target.
            element_of: reads a column of the edge's matrices.
            share: is told the adjoint of an element of the edge's matrix.
        """
        dweight = jnp.zeros_like(h[0])
        for m, entries in enumerate(self.rows[index]):
            if not entries:
                continue
            adjoint = adjoint_of(m)
            weighted, product = weight * adjoint, jnp.zeros_like(dweight)
            for e in entries:
                element = element_of(e.column)
                product += element * h[e.source]
                dh[e.source] += element * weighted
                if not e.constant:
                    share(e, jnp.sum(weighted * h[e.source]))
            dweight += adjoint * product
        return dweight

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
            near = [
                gpu.load(radial, there, block, knot + j, path, column) for j in range(_taps(radial))
            ]
            return [_dot(some, near) for some in taps]

        return weights


def _taps(table: Any) -> int:
    """Return how many rows of a table of splines an edge needs."""
    return spline_degree(table.dtype) + 1


def _dot(a: list[jax.Array], b: list[jax.Array]) -> jax.Array:
    first, *rest = (x * y for x, y in zip(a, b, strict=True))
    return sum(rest, first)
