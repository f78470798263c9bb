"""Exact integrals over the unit sphere: points, weights and spherical harmonics there."""

from __future__ import annotations

from functools import lru_cache

import e3nn_jax as e3nn
import numpy as np

from lammps_mace.runtime.precision import constants

_ZERO = 1e-12


@lru_cache
def sphere_rule(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points [n, 3] and weights [n]; the mean of polynomials up to ``degree`` is exact.

    Gauss-Legendre points in z times equal angles around it. The weights sum to 1.
    """
    z, weight = np.polynomial.legendre.leggauss(degree // 2 + 1)
    n_angles = degree + 1
    angle = 2.0 * np.pi * np.arange(n_angles) / n_angles
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    plane = np.sqrt(1.0 - z**2)[:, None, None] * ring
    height = np.broadcast_to(z[:, None, None], (z.size, n_angles, 1))
    points = np.concatenate([plane, height], axis=-1).reshape(-1, 3)
    return points, np.repeat(weight / (2.0 * n_angles), n_angles)


@lru_cache
def harmonics_at(irreps: e3nn.Irreps, degree: int) -> np.ndarray:
    """Return the harmonics at the points of :func:`sphere_rule`, float64 [n, dim].

    Normalised to sum_m Y_lm^2 = 1 for each l.
    """
    points, _ = sphere_rule(degree)
    with constants():
        values = e3nn.spherical_harmonics(irreps, points, normalize=True, normalization="norm")
        return np.asarray(values.array, np.float64)


@lru_cache(maxsize=32)
def means_of_three(first: int, second: int, third: int) -> np.ndarray:
    """Return the means of products of three harmonics, each up to a degree.

    Returns:
        float64 [(first + 1)^2, (second + 1)^2, (third + 1)^2].
    """
    degree = first + second + third
    x, y, z = (
        harmonics_at(e3nn.Irreps.spherical_harmonics(highest), degree)
        for highest in (first, second, third)
    )
    weighted = z * sphere_rule(degree)[1][:, None]
    means = np.einsum("ni,nj,nk->ijk", x, y, weighted, optimize=True)
    return np.where(np.abs(means) > _ZERO, means, 0.0)
