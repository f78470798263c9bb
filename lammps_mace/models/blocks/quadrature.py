"""Exact integrals over the unit sphere: points, weights and spherical harmonics there."""

from __future__ import annotations

from functools import lru_cache

import e3nn_jax as e3nn
import numpy as np

from lammps_mace.runtime.precision import constants


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
