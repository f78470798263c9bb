"""Uniform cubic B-splines on [0, cutoff]: fit in float64, and evaluate.

With h = cutoff / knots, k = floor(r / h) and t = r / h - k, the spline is sum_j b_j(t) c[k + j],
j = 0..3, with the four pieces b_j of the uniform cubic B-spline (de Boor, A Practical Guide to
Splines, 1978): one coefficient per knot and function, two continuous derivatives.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_banded

_NEARLY_ZERO = 1e-9  # of the cutoff; at 0 itself the model's radial functions are cut to zero
_MIN_KNOTS = 4


def spline_points(cutoff: float, knots: int) -> np.ndarray:
    """Return where :func:`fit_spline` wants the functions, float64 [knots + 1], from 0 to cutoff.

    The first point lies a hair above 0, so that functions with a special value at 0 do no harm.

    Raises:
        ValueError: fewer than 4 knots, or a cutoff that is not positive.
    """
    if knots < _MIN_KNOTS:
        raise ValueError(f"knots={knots}: a spline needs at least {_MIN_KNOTS}")
    if not cutoff > 0.0:
        raise ValueError(f"cutoff={cutoff}: must be positive")
    points = np.linspace(0.0, cutoff, knots + 1)
    points[0] = _NEARLY_ZERO * cutoff
    return points


def fit_spline(values: np.ndarray, cutoff: float) -> np.ndarray:
    """Return the coefficients of the spline through ``values`` at :func:`spline_points`.

    The slopes at both ends are those of the polynomial through the five nearest points.

    Args:
        values: [knots + 1, n_functions].

    Returns:
        float64 [knots + 3, n_functions].

    Raises:
        ValueError: fewer than 5 points, or a cutoff that is not positive.
    """
    values = np.asarray(values, np.float64)
    spline_points(cutoff, len(values) - 1)
    first, last = _twice_slope(values[:5]), _twice_slope(values[:-6:-1])
    # The rows are c[k] + 4 c[k+1] + c[k+2] = 6 f(k) and, at the ends, c[2] - c[0] = 2 h f'. The
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
    # 2 h f' at the end of a row of points that starts there and goes inwards; fourth order.
    weights = np.array([-25.0, 48.0, -36.0, 16.0, -3.0]) / 12.0
    return 2.0 * np.tensordot(weights, nearest, 1)


def evaluate_spline(
    coefficients: np.ndarray, cutoff: float, r: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return values and derivatives, [n, n_functions] each, at distances [n] in [0, cutoff]."""
    knots = len(coefficients) - 3
    s = np.asarray(r, np.float64) * (knots / cutoff)
    k = np.clip(s.astype(int), 0, knots - 1)
    t = (s - k)[:, None]
    rows = [coefficients[k + j] for j in range(4)]
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
    value = sum(b * c for b, c in zip(pieces, rows, strict=True))
    derivative = sum(b * c for b, c in zip(slopes, rows, strict=True)) * (knots / cutoff)
    return value, derivative
