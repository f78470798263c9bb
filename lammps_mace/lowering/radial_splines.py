"""Radial weights of a layer: the radial network itself, or splines fitted to it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.kernels import Grid, evaluate_spline, fit_spline
from lammps_mace.models.description import RadialWeights
from lammps_mace.runtime.precision import full_precision

# The first number of knots is taken for which values and slopes are exact enough: from these
# distances on (of the cutoff), to these parts of the largest beyond; what rounding in float32 does
# to forces is as large. No more knots than needed: in disordered structures the splines of all
# distances have to stay in the caches. Trained networks vary most near 0, where they were never
# trained, far more than at distances of neighbours.
KNOTS = (
    *(128, 160, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1536),
    *(2048, 2560, 3072, 4096, 5120, 6144, 8192),
)
SCALES = (1.0, 1 / 4, 1 / 8)  # of the cutoff, see Grid
_NEIGHBOURS = 0.35  # of the cutoff: hardly any neighbours are nearer
ERRORS = ((0.0, 1e-6, 1e-5), (_NEIGHBOURS, 3e-7, 3e-6))
_PROBES = 2053  # prime: never in step with the knots
_BATCH = 512  # distances at a time, so that one compilation serves all numbers of knots


def radial_values(
    radial: RadialWeights, weights: Any, distances: jax.Array, senders: Any, receivers: Any
) -> jax.Array:
    """Return the radial weights [n, n_weights] themselves, in the precision of the distances.

    Args:
        weights: parameters, matrix and factor of ``radial`` in that precision.
        distances: [n], Å.
        senders, receivers: their species, int32 [n].
    """
    parameters, matrix, factor = weights
    values = radial.functions(parameters, distances, senders, receivers) @ matrix
    return values if factor is None else values * factor[senders, receivers]


# Distances [n], Å -> values and slopes [n, paths * channels], float64.
_Sampler = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Splines(NamedTuple):
    """Radial weights of a layer as splines.

    Attributes:
        grid: of the knots.
        coefficients: float64 [knots + 3, paths * channels].
    """

    grid: Grid
    coefficients: np.ndarray


def fit(radial: RadialWeights, cutoff: float) -> Splines | None:
    """Return the splines with the fewest knots at the distances of neighbours."""
    sample = _sampler(radial)
    probes = probe_distances(cutoff)
    exact = sample(probes)
    best: Splines | None = None
    for scale in SCALES:
        grids = [Grid(cutoff, knots, scale * cutoff) for knots in KNOTS]
        better = [grid for grid in grids if best is None or _used(grid) < _used(best.grid)]
        best = _coarsest(better, sample, probes, exact) or best
    return best


def probe_distances(cutoff: float) -> np.ndarray:
    """Return where splines are compared with the network, Å."""
    return (np.arange(_PROBES) + 0.5) * cutoff / _PROBES


def _used(grid: Grid) -> float:
    return grid.knots - grid.position(_NEIGHBOURS * grid.cutoff)


def _coarsest(
    grids: Sequence[Grid], sample: _Sampler, probes: np.ndarray, exact: tuple[np.ndarray, ...]
) -> Splines | None:
    """Return splines on the first grid that is fine enough."""
    fitted: dict[Grid, Splines] = {}

    def is_fine(grid: Grid) -> bool:
        fitted[grid] = Splines(grid, fit_spline(sample(grid.points())[0]))
        found = evaluate_spline(fitted[grid].coefficients, grid, probes)
        value_errors, slope_errors = map(relative_errors, found, exact)
        limits = zip(ERRORS, value_errors, slope_errors, strict=True)
        return all(value < a and slope < b for (_, a, b), value, slope in limits)

    first = bisect_left(grids, True, key=is_fine)
    return fitted[grids[first]] if first < len(grids) else None


def relative_errors(found: np.ndarray, exact: np.ndarray) -> list[float]:
    """Return the largest error from each of the distances on, over the largest exact number."""
    errors, sizes = np.abs(found - exact).max(axis=1), np.abs(exact).max(axis=1)
    firsts = [int(distance * len(exact)) for distance, *_ in ERRORS]
    return [float(errors[i:].max() / max(sizes[i:].max(), 1e-300)) for i in firsts]


def _sampler(radial: RadialWeights) -> _Sampler:
    def at(r: jax.Array) -> jax.Array:
        parameters, matrix = jax.tree.map(jnp.asarray, (radial.parameters, radial.matrix))
        species = jnp.zeros(r.shape, jnp.int32)
        return radial_values(radial, (parameters, matrix, None), r, species, species)

    @jax.jit
    def batch(r: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.jvp(at, (r,), (jnp.ones_like(r),))

    def sample(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        padded = np.resize(distances, -(-len(distances) // _BATCH) * _BATCH)
        with full_precision():
            found = [batch(jnp.asarray(r, jnp.float64)) for r in padded.reshape(-1, _BATCH)]
        values, slopes = (np.concatenate(x)[: len(distances)] for x in zip(*found, strict=True))
        return values, slopes

    return sample
