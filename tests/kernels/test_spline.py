"""The splines: exact where a cubic is, accurate elsewhere, and their errors are found."""

import numpy as np
import pytest
from scipy.interpolate import BSpline

from lammps_mace.kernels import evaluate_spline, fit, fit_spline, spline_points

CUTOFF = 5.0


def bessel(r):
    orders = np.arange(1, 9) * np.pi / CUTOFF
    return np.sin(orders * r[:, None]) / r[:, None]


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
    coefficients, error = fit(bessel, CUTOFF, knots)
    assert coefficients.shape == (knots + 3, 8)
    assert error.value < value
    assert error.derivative < derivative
    assert error.value > 1e-12  # an error that is always zero would not be measured


def test_refusals():
    with pytest.raises(ValueError, match="knots=3: a spline needs at least 4"):
        spline_points(CUTOFF, 3)
    with pytest.raises(ValueError, match="cutoff=0.0: must be positive"):
        spline_points(0.0, 8)
