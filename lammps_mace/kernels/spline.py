"""B-splines on [0, cutoff], with closer knots where functions vary more: fit and evaluate.

With s(r) the number of the knot at r, not rounded, k = floor(s) and t = s - k, the spline of degree
p is sum_j b_j(t) c[k + j], j = 0..p, with the p + 1 pieces b_j of the uniform B-spline (de Boor, A
Practical Guide to Splines, 1978): one coefficient per knot and function, p - 1 continuous
derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_banded
from scipy.sparse import csr_array

_NEARLY_ZERO = 1e-9  # of the cutoff; at 0 itself the model's radial functions are cut to zero


def spline_degree(dtype: Any) -> int:
    """Return the degree of the splines in a precision: with the same knots 1e-7 and 1e-12."""
    return 3 if np.dtype(dtype) == np.float32 else 7


@dataclass(frozen=True)
class Grid:
    """Knots at equal steps of r / (r + scale), from 0 to the cutoff: s(r) = limit r / (r + scale).

    Radial networks vary most where no atoms are, near 0, and hardly at all near the cutoff.

    Attributes:
        cutoff: Å.
        knots: number of intervals.
        scale: Å; the cutoff divided by a power of two, so that ``limit`` has no rounding error.
        degree: of the splines, 3 or higher and odd.

    Raises:
        ValueError: too few knots for the degree, or a length that is not positive.
    """

    cutoff: float
    knots: int
    scale: float
    degree: int = 3

    def __post_init__(self) -> None:
        if self.knots <= self.degree:
            raise ValueError(f"knots={self.knots}: a spline needs at least {self.degree + 1}")
        for name in ("cutoff", "scale"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name}={getattr(self, name)}: must be positive")

    @property
    def limit(self) -> float:
        """S at infinity."""
        return self.knots * (1.0 + self.scale / self.cutoff)

    @property
    def rows(self) -> int:
        """Number of coefficients of each function."""
        return self.knots + self.degree

    def points(self) -> np.ndarray:
        """Return where :func:`fit_spline` wants the functions, float64 [n], ascending.

        The first lies a hair above 0, so that functions with a special value at 0 do no harm.
        """
        s = self._sites()
        points = self.scale * s / (self.limit - s)
        points[0], points[-1] = _NEARLY_ZERO * self.cutoff, self.cutoff
        return points

    def _sites(self) -> np.ndarray:
        """Return s at the points: the knots and, of higher degrees, the ends' first middles."""
        middles = np.arange((self.degree - 1) // 2 if self.degree > 3 else 0) + 0.5
        return np.sort(np.concatenate([np.arange(self.knots + 1), middles, self.knots - middles]))

    def position(self, r: Any) -> Any:
        """Return s at a distance or an array of them, Å."""
        return self.limit * r / (r + self.scale)


def fit_spline(values: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the coefficients of the spline through ``values`` at the points of a grid.

    Args:
        values: [n_points, n_functions].

    Returns:
        float64 [knots + degree, n_functions].
    """
    values = np.asarray(values, np.float64)
    if grid.degree == 3:
        return _fit_cubic(values)
    k, t = _split(grid, grid._sites())
    pieces = _rows(grid, k, spline_pieces(t, grid.degree)).tocoo()
    bands = np.zeros((2 * grid.degree + 1, grid.rows))
    bands[grid.degree + pieces.row - pieces.col, pieces.col] = pieces.data
    return solve_banded((grid.degree, grid.degree), bands, values)


def _fit_cubic(values: np.ndarray) -> np.ndarray:
    """Fit at the knots alone: the slopes at both ends are those through the five nearest."""
    first, last = _twice_slope(values[:5]), _twice_slope(values[:-6:-1])
    # The rows are c[k] + 4 c[k+1] + c[k+2] = 6 f(k) and, at the ends, c[2] - c[0] = 2 df/ds. The
    # latter are subtracted from their neighbours, which makes the matrix tridiagonal.
    right = 6.0 * np.concatenate([values[:1], values, values[-1:]])
    right[0] -= first
    right[-1] -= last
    bands = np.zeros((3, len(right)))
    bands[0, 1:], bands[1], bands[2, :-1] = 1.0, 4.0, 1.0
    bands[0, 1] = bands[2, -2] = 4.0
    bands[1, [0, -1]] = 2.0
    return solve_banded((1, 1), bands, right)


def _twice_slope(nearest: np.ndarray) -> np.ndarray:
    # 2 df/ds at the end of a row of points that starts there and goes inwards; fourth order.
    weights = np.array([-25.0, 48.0, -36.0, 16.0, -3.0]) / 12.0
    return 2.0 * np.tensordot(weights, nearest, 1)


def spline_pieces(t: Any, degree: int) -> list[Any]:
    """Return the pieces b_0 to b_degree at t in [0, 1), a number or an array of NumPy or JAX."""
    found = [t * 0.0 + 1.0]
    for p in range(1, degree + 1):
        pairs = zip([0.0, *found], [*found, 0.0], strict=True)
        found = [((t + p - j) * a + (1 + j - t) * b) / p for j, (a, b) in enumerate(pairs)]
    return found


def spline_slopes(t: Any, degree: int) -> list[Any]:
    """Return the derivatives of the pieces in t."""
    lower = spline_pieces(t, degree - 1)
    return [a - b for a, b in zip([0.0, *lower], [*lower, 0.0], strict=True)]


def evaluate_spline(
    coefficients: np.ndarray, grid: Grid, r: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return values and derivatives, [n, n_functions] each, at distances [n] in [0, cutoff]."""
    r = np.asarray(r, np.float64)
    k, t = _split(grid, grid.position(r))
    density = grid.limit * grid.scale / (r + grid.scale) ** 2  # ds/dr
    slopes = [density * piece for piece in spline_slopes(t, grid.degree)]
    values = _rows(grid, k, spline_pieces(t, grid.degree)) @ coefficients
    return values, _rows(grid, k, slopes) @ coefficients


def _split(grid: Grid, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the knot before s, and how far s is from it."""
    k = np.clip(s.astype(int), 0, grid.knots - 1)
    return k, s - k


def _rows(grid: Grid, k: np.ndarray, pieces: list[np.ndarray]) -> csr_array:
    """Return the matrix [n, rows] that weighs the coefficients from the knots k on with pieces."""
    n = len(pieces)
    columns, starts = k[:, None] + np.arange(n), np.arange(0, n * len(k) + 1, n)
    return csr_array(
        (np.stack(pieces, axis=1).ravel(), columns.ravel(), starts), (len(k), grid.rows)
    )
