"""Splines in JAX: the knots around a distance, and the basis functions (pieces) there."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lammps_mace.kernels.spline import Grid, spline_pieces, spline_slopes


class SplinePlace(NamedTuple):
    """Where distances are on a grid.

    Attributes:
        knots: int32 [n], the knot before each distance.
        pieces: [n, degree + 1], factors of the coefficients from that knot on; differentiable.
    """

    knots: jax.Array
    pieces: jax.Array


def spline_place(grid: Grid, r: jax.Array) -> SplinePlace:
    """Return where the distances r, Å, are."""
    k, t = _place(grid, r)
    return SplinePlace(k, jnp.stack(spline_pieces(t, grid.degree), axis=1))


def spline_place_and_slopes(grid: Grid, r: jax.Array) -> tuple[SplinePlace, jax.Array]:
    """Return where the distances r, Å, are, and the slopes of the pieces there, 1/Å."""
    k, t = _place(grid, r)
    density = grid.limit * grid.scale / (r + grid.scale) ** 2  # ds/dr
    pieces = jnp.stack(spline_pieces(t, grid.degree), axis=1)
    slopes = jnp.stack(spline_slopes(t, grid.degree), axis=1)
    return SplinePlace(k, pieces), slopes * density[:, None]


def spline_rows(table: jax.Array, first_rows: jax.Array, grid: Grid, r: jax.Array) -> jax.Array:
    """Return functions at the distances r, [n, n_functions]; differentiable in them.

    Args:
        table: [rows, n_functions], the coefficients of some splines, one set after the other.
        first_rows: int32 [n], where the set of each distance begins.
    """
    place = spline_place(grid, r)
    near = table[(first_rows + place.knots)[:, None] + jnp.arange(grid.degree + 1)]
    return jnp.sum(place.pieces[:, :, None] * near, axis=1)


def _place(grid: Grid, r: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the knot before each distance, int32 [n], and how far it is to the next, [n]."""
    s = jax.lax.stop_gradient(grid.position(r))
    k = jnp.clip(jnp.floor(s), 0, grid.knots - 1)
    # Not s - k: that would lose digits where knots are far apart.
    rest = grid.limit - k
    t = rest * (r - grid.scale * k / rest) / (r + grid.scale)
    return k.astype(jnp.int32), t
