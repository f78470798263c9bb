"""Cubic B-splines on [0, cutoff], with closer knots where functions vary more: fit and evaluate.

With s(r) the number of the knot at r, not rounded, k = floor(s) and t = s - k, the spline is
sum_j b_j(t) c[k + j], j = 0..3, with the four pieces b_j of the uniform cubic B-spline (de Boor, A
Practical Guide to Splines, 1978): one coefficient per knot and function, two continuous
derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_banded
from scipy.sparse import csr_array

_NEARLY_ZERO = 1e-9  # of the cutoff; at 0 itself the model's radial functions are cut to zero
_MIN_KNOTS = 4


@dataclass(frozen=True)
class Grid:
    """Knots at equal steps of r / (r + scale), from 0 to the cutoff: s(r) = limit r / (r + scale).

    Radial networks vary most where no atoms are, near 0, and hardly at all near the cutoff.

    Attributes:
        cutoff: Å.
        knots: number of intervals.
        scale: Å; the cutoff divided by a power of two, so that ``limit`` has no rounding error.

    Raises:
        ValueError: fewer than 4 knots, or a length that is not positive.
    """

    cutoff: float
    knots: int
    scale: float

    def __post_init__(self) -> None:
        if self.knots < _MIN_KNOTS:
            raise ValueError(f"knots={self.knots}: a spline needs at least {_MIN_KNOTS}")
        for name in ("cutoff", "scale"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name}={getattr(self, name)}: must be positive")

    @property
    def limit(self) -> float:
        """S at infinity."""
        return self.knots * (1.0 + self.scale / self.cutoff)

    def points(self) -> np.ndarray:
        """Return where :func:`fit_spline` wants the functions, float64 [knots + 1].

        The first lies a hair above 0, so that functions with a special value at 0 do no harm.
        """
        k = np.arange(self.knots + 1)
        points = self.scale * k / (self.limit - k)
        points[0], points[-1] = _NEARLY_ZERO * self.cutoff, self.cutoff
        return points

    def position(self, r: Any) -> Any:
        """Return s at a distance or an array of them, Å."""
        return self.limit * r / (r + self.scale)


def fit_spline(values: np.ndarray) -> np.ndarray:
    """Return the coefficients of the spline through ``values`` at the points of a grid.

    The slopes at both ends are those of the polynomial through the five nearest points.

    Args:
        values: [knots + 1, n_functions].

    Returns:
        float64 [knots + 3, n_functions].
    """
    values = np.asarray(values, np.float64)
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


def evaluate_spline(
    coefficients: np.ndarray, grid: Grid, r: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return values and derivatives, [n, n_functions] each, at distances [n] in [0, cutoff]."""
    r = np.asarray(r, np.float64)
    s = grid.position(r)
    k = np.clip(s.astype(int), 0, grid.knots - 1)
    t = s - k
    pieces = (
        (1.0 - t) ** 3 / 6.0,
        (3.0 * t**3 - 6.0 * t**2 + 4.0) / 6.0,
        (-3.0 * t**3 + 3.0 * t**2 + 3.0 * t + 1.0) / 6.0,
        t**3 / 6.0,
    )
    slopes = (
        -((1.0 - t) ** 2) / 2.0,
        1.5 * t**2 - 2.0 * t,
        -1.5 * t**2 + t + 0.5,
        t**2 / 2.0,
    )
    density = grid.limit * grid.scale / (r + grid.scale) ** 2  # ds/dr
    columns, starts = k[:, None] + np.arange(4), np.arange(0, 4 * len(r) + 1, 4)
    shape = len(r), len(coefficients)

    def combined(weights: np.ndarray) -> np.ndarray:
        return csr_array((weights.T.ravel(), columns.ravel(), starts), shape) @ coefficients

    return combined(np.stack(pieces)), combined(np.stack(slopes) * density)
