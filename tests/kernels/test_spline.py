"""The splines: exact where a cubic is, accurate elsewhere."""

import numpy as np
import pytest
from scipy.interpolate import BSpline

from lammps_mace.kernels import evaluate_spline, fit_spline, spline_points

CUTOFF = 5.0


def bessel(r):
    """Return values and slopes [n, 8]."""
    orders, r = np.arange(1, 9) * np.pi / CUTOFF, r[:, None]
    values = np.sin(orders * r) / r
    return values, (orders * np.cos(orders * r) - values) / r


def test_a_cubic_is_reproduced_with_its_derivative():
    polynomial = np.polynomial.Polynomial([0.3, -1.0, 0.5, 0.2])
    points = spline_points(CUTOFF, 10)
    coefficients = fit_spline(polynomial(points)[:, None], CUTOFF)
    r = np.linspace(0.0, CUTOFF, 57)
    value, derivative = evaluate_spline(coefficients, CUTOFF, r)
    np.testing.assert_allclose(value[:, 0], polynomial(r), atol=1e-7)
    np.testing.assert_allclose(derivative[:, 0], polynomial.deriv()(r), atol=1e-6)


def test_the_pieces_are_those_of_scipy():
    coefficients = np.random.default_rng(0).normal(size=(13, 2))
    knots = (np.arange(-3, 14)) * (CUTOFF / 10)
    r = np.linspace(0.0, CUTOFF - 1e-9, 40)
    value, derivative = evaluate_spline(coefficients, CUTOFF, r)
    oracle = BSpline(knots, coefficients, 3)
    np.testing.assert_allclose(value, oracle(r), atol=1e-13)
    np.testing.assert_allclose(derivative, oracle(r, 1), atol=1e-12)


@pytest.mark.parametrize(("knots", "value", "derivative"), [(128, 2e-5, 1e-3), (512, 1e-7, 1e-5)])
def test_errors_shrink_with_the_knots(knots, value, derivative):
    coefficients = fit_spline(bessel(spline_points(CUTOFF, knots))[0], CUTOFF)
    assert coefficients.shape == (knots + 3, 8)
    r = np.random.default_rng(0).uniform(0.1 * CUTOFF, CUTOFF, 1000)
    for found, exact, limit in zip(
        evaluate_spline(coefficients, CUTOFF, r), bessel(r), (value, derivative), strict=True
    ):
        error = np.abs(found - exact).max() / np.abs(exact).max()
        assert 1e-12 < error < limit  # an error of zero would not be measured


def test_refusals():
    with pytest.raises(ValueError, match="knots=3: a spline needs at least 4"):
        spline_points(CUTOFF, 3)
    with pytest.raises(ValueError, match="cutoff=0.0: must be positive"):
        spline_points(0.0, 8)
