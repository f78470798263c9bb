"""Radial weights of a layer: the radial network itself, or splines fitted to it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.kernels import Grid, evaluate_spline, fit_spline, spline_degree
from lammps_mace.lowering.species_pairs import SpeciesPairs
from lammps_mace.models.description import RadialWeights, SpeciesDependence
from lammps_mace.runtime.precision import full_precision

# A fit takes the smallest of these numbers of knots that meets all ERRORS. Fewer knots are faster:
# in disordered structures the splines of all distances have to stay in the caches. Trained
# networks vary most near distance 0, where there were no training data.
KNOTS = (
    *(128, 160, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1536),
    *(2048, 2560, 3072, 4096, 5120, 6144, 8192),
)
SCALES = (1.0, 1 / 4, 1 / 8)  # of the cutoff, see Grid
# Where distances are taken relative to the radii of two elements: light ones vary near 0 only.
PAIR_SCALES = (1.0, 1 / 2, 1 / 4, 1 / 8)
_NEIGHBOURS = 0.35  # cutoffs; hardly any neighbours are nearer
# The largest errors of values and of slopes, relative to the largest value and slope: of all
# distances, then of those of neighbours. In float32 rounding changes forces as much; in float64
# energies keep ten digits, and forces nine of the largest.
ERRORS = {
    "float32": ((1e-6, 1e-5), (3e-7, 3e-6)),
    "float64": ((1e-11, 1e-10), (3e-12, 3e-11)),
}
_PROBES = 2053  # prime, so that they never coincide with the knots
_USUAL_KNOTS = 512  # of functions that depend on the radii of two elements
_PROBE_STEP = 5  # most of many pairs of species are checked at every fifth probe: one batch
_BATCH = 512  # distances at a time, so that one compilation serves all numbers of knots


# Distances [n], Å, and a pair of species -> values and slopes [n, paths * channels], float64.
_Sampler = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


class Splines(NamedTuple):
    """Radial weights of a layer as splines.

    Attributes:
        grid: of the knots, the same for all pairs of species.
        coefficients: [n_pairs, knots + degree, paths * channels].
    """

    grid: Grid
    coefficients: np.ndarray


def scales(radial: RadialWeights) -> tuple[float, ...]:
    """Return the scales of knots, in cutoffs, that radial weights may have."""
    return PAIR_SCALES if radial.dependence == SpeciesDependence.PAIR else SCALES


def fit(
    radial: RadialWeights,
    cutoff: float,
    pairs: SpeciesPairs,
    precision: str,
    dtype: str,
    most_numbers: int,
) -> Splines | None:
    """Return the splines with the fewest knots at the distances of neighbours.

    Returns None where no number of knots is exact enough, or the coefficients are too many.

    Args:
        pairs: of species that have functions of their own.
        precision: "float32" or "float64", for which they are to be exact enough.
        dtype: of the coefficients.
        most_numbers: how many coefficients there may be.
    """
    n_weights = radial.matrix.shape[1]
    if len(pairs) * _USUAL_KNOTS * n_weights > most_numbers:  # a search takes seconds
        return None
    sample = _sampler(radial, pairs)
    # Knots that are close enough for a few pairs mostly are for all: the others are only checked.
    searched = {0, len(pairs) // 2, len(pairs) - 1}
    probes = probe_distances(cutoff)
    few = probes[::_PROBE_STEP]
    while True:
        exact = [_Exact.of(sample, probes, pair, precision) for pair in searched]
        grid = _fewest_knots(exact, cutoff, scales(radial), spline_degree(precision))
        if grid is None or len(pairs) * grid.rows * n_weights > most_numbers:
            return None
        # One array, filled pair by pair: of ten elements it takes hundreds of megabytes.
        splines = np.empty((len(pairs), grid.rows, n_weights), dtype)
        missed = None
        for pair in range(len(pairs)):
            spline = splines[pair] = fit_spline(sample(grid.points(), pair)[0], grid)
            if pair in searched or _Exact.of(sample, few, pair, precision).agrees(spline, grid):
                continue
            missed = pair
            break
        if missed is None:
            return Splines(grid, splines)
        searched.add(missed)


@dataclass(frozen=True, eq=False)
class _Exact:
    """The exact functions of a pair of species, with which a spline is compared.

    Attributes:
        sample: gives values and slopes at distances.
        probes: distances, Å.
        values: values and slopes there.
        precision: for which a spline is to be exact enough.
    """

    sample: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    probes: np.ndarray
    values: tuple[np.ndarray, ...]
    precision: str

    @classmethod
    def of(cls, sample: _Sampler, probes: np.ndarray, pair: int, precision: str) -> _Exact:
        """Return the functions of a pair."""
        return cls(lambda r: sample(r, pair), probes, sample(probes, pair), precision)

    def agrees(self, coefficients: np.ndarray, grid: Grid) -> bool:
        """Return whether a spline is exact enough."""
        found = evaluate_spline(coefficients, grid, self.probes)
        value_errors, slope_errors = map(relative_errors, found, self.values)
        limits = zip(ERRORS[self.precision], value_errors, slope_errors, strict=True)
        return all(value < a and slope < b for (a, b), value, slope in limits)

    def is_fine(self, grid: Grid) -> bool:
        """Return whether a spline with these knots is exact enough."""
        return self.agrees(fit_spline(self.sample(grid.points())[0], grid), grid)


def _fewest_knots(
    functions: Sequence[_Exact], cutoff: float, scales: Sequence[float], degree: int
) -> Grid | None:
    """Return the coarsest grid that is fine enough for all of these functions."""
    best: Grid | None = None
    for scale in scales:
        grids = [Grid(cutoff, knots, scale * cutoff, degree) for knots in KNOTS]
        better = [grid for grid in grids if best is None or _used(grid) < _used(best)]
        fine = bisect_left(better, True, key=lambda grid: all(f.is_fine(grid) for f in functions))
        best = better[fine] if fine < len(better) else best
    return best


def probe_distances(cutoff: float) -> np.ndarray:
    """Return where splines are compared with the network, Å."""
    return (np.arange(_PROBES) + 0.5) * cutoff / _PROBES


def _used(grid: Grid) -> float:
    return grid.knots - grid.position(_NEIGHBOURS * grid.cutoff)


def relative_errors(found: np.ndarray, exact: np.ndarray) -> list[float]:
    """Return the largest error at all distances, and of neighbours, over the largest number."""
    errors, sizes = np.abs(found - exact).max(axis=1), np.abs(exact).max(axis=1)
    firsts = [0, int(_NEIGHBOURS * len(exact))]
    return [float(errors[i:].max() / max(sizes[i:].max(), 1e-300)) for i in firsts]


def _sampler(radial: RadialWeights, pairs: SpeciesPairs) -> _Sampler:
    def at(r: jax.Array, sender: jax.Array, receiver: jax.Array) -> jax.Array:
        parameters, matrix = jax.tree.map(jnp.asarray, (radial.parameters, radial.matrix))
        species = (jnp.broadcast_to(x, r.shape) for x in (sender, receiver))
        return radial.functions(parameters, r, *species) @ matrix

    @jax.jit
    def batch(r: jax.Array, sender: jax.Array, receiver: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.jvp(lambda r: at(r, sender, receiver), (r,), (jnp.ones_like(r),))

    def sample(distances: np.ndarray, pair: int) -> tuple[np.ndarray, np.ndarray]:
        species = pairs.senders[pair], pairs.receivers[pair]
        padded = np.resize(distances, -(-len(distances) // _BATCH) * _BATCH)
        with full_precision():
            batches = padded.reshape(-1, _BATCH)
            found = [batch(jnp.asarray(r, jnp.float64), *species) for r in batches]
        values, slopes = (np.concatenate(x)[: len(distances)] for x in zip(*found, strict=True))
        return values, slopes

    return sample
