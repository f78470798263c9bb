"""Paths: the Clebsch-Gordan products of which messages are made."""

from __future__ import annotations

from dataclasses import dataclass

import e3nn_jax as e3nn
import numpy as np


@dataclass(frozen=True, eq=False)
class TensorProductPath:
    """One Clebsch-Gordan product: source (irrep) x harmonics (degree) -> target (irrep).

    Attributes:
        source, target: irreps.
        degree: of the spherical harmonics.
        coefficients: float64 [2 l_source + 1, 2 degree + 1, 2 l_target + 1].
    """

    source: e3nn.Irrep
    degree: int
    target: e3nn.Irrep
    coefficients: np.ndarray
