"""The splines: exact for polynomials of their degree, accurate elsewhere."""

import numpy as np
import pytest
from scipy.interpolate import BSpline

from lammps_mace.kernels import Grid, evaluate_spline, fit_spline

CUTOFF = 5.0
SCALES = (CUTOFF, CUTOFF / 8)
DEGREES = (3, 7)


def bessel(r):
    """Return values and slopes [n, 8]."""
    orders, r = np.arange(1, 9) * np.pi / CUTOFF, r[:, None]
    values = np.sin(orders * r) / r
    return values, (orders * np.cos(orders * r) - values) / r


def place(grid, r):
    """Return s and ds/dr."""
    return grid.limit * r / (r + grid.scale), grid.limit * grid.scale / (r + grid.scale) ** 2


@pytest.mark.parametrize("scale", SCALES)
def test_knots_lie_where_the_grid_says(scale):
    grid = Grid(CUTOFF, 32, scale)
    points = grid.points()
    assert points[0] == pytest.approx(0.0, abs=1e-8)
    assert points[-1] == CUTOFF
    np.testing.assert_allclose(grid.position(points), np.arange(33), atol=1e-6)
    steps = np.diff(points)
    assert np.all(np.diff(steps) > 0.0)
    # ds/dr at 0, over that at the cutoff.
    assert steps[-1] / steps[0] == pytest.approx((1 + CUTOFF / scale) ** 2, rel=0.3)
    assert grid.limit == np.float32(grid.limit)


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("scale", SCALES)
def test_a_polynomial_in_s_is_reproduced_with_its_derivative(scale, degree):
    numbers = [0.3, -1.0, 0.05, 0.02, 1e-3, 2e-4, 3e-5, 1e-6]
    polynomial = np.polynomial.Polynomial(numbers[: degree + 1])
    grid = Grid(CUTOFF, 10, scale, degree)
    coefficients = fit_spline(polynomial(grid.position(grid.points()))[:, None], grid)
    r = np.linspace(0.0, CUTOFF, 57)
    value, derivative = evaluate_spline(coefficients, grid, r)
    s, density = place(grid, r)
    np.testing.assert_allclose(value[:, 0], polynomial(s), atol=1e-7)
    np.testing.assert_allclose(derivative[:, 0] / density, polynomial.deriv()(s), atol=1e-6)


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("scale", SCALES)
def test_the_pieces_are_those_of_scipy(scale, degree):
    grid = Grid(CUTOFF, 10, scale, degree)
    coefficients = np.random.default_rng(0).normal(size=(grid.rows, 2))
    r = np.linspace(0.0, CUTOFF - 1e-9, 40)
    value, derivative = evaluate_spline(coefficients, grid, r)
    oracle = BSpline(np.arange(-degree, grid.rows + 1), coefficients, degree)
    s, density = place(grid, r)
    np.testing.assert_allclose(value, oracle(s), atol=1e-13)
    np.testing.assert_allclose(derivative, oracle(s, 1) * density[:, None], atol=1e-12)


ERRORS = [
    (3, CUTOFF, 128, 2e-5, 5e-4),
    (3, CUTOFF, 512, 1e-7, 2e-6),
    # Few knots at long distances, where these functions vary as much.
    (3, CUTOFF / 8, 128, 0.03, 0.1),
    (3, CUTOFF / 8, 512, 4e-5, 4e-4),
    (7, CUTOFF, 128, 1e-8, 1e-6),
    (7, CUTOFF, 256, 1e-10, 1e-8),
]


@pytest.mark.parametrize(("degree", "scale", "knots", "value", "derivative"), ERRORS)
def test_errors_shrink_with_the_knots(degree, scale, knots, value, derivative):
    grid = Grid(CUTOFF, knots, scale, degree)
    coefficients = fit_spline(bessel(grid.points())[0], grid)
    assert coefficients.shape == (knots + degree, 8)
    r = np.random.default_rng(0).uniform(0.1 * CUTOFF, CUTOFF, 1000)
    for found, exact, limit in zip(
        evaluate_spline(coefficients, grid, r), bessel(r), (value, derivative), strict=True
    ):
        error = np.abs(found - exact).max() / np.abs(exact).max()
        assert 1e-15 < error < limit  # an error of zero would not be measured


def test_refusals():
    with pytest.raises(ValueError, match="knots=3: a spline needs at least 4"):
        Grid(CUTOFF, 3, CUTOFF)
    with pytest.raises(ValueError, match="knots=7: a spline needs at least 8"):
        Grid(CUTOFF, 7, CUTOFF, 7)
    with pytest.raises(ValueError, match="cutoff=0.0: must be positive"):
        Grid(0.0, 8, 1.0)
    with pytest.raises(ValueError, match="scale=-1.0: must be positive"):
        Grid(CUTOFF, 8, -1.0)
