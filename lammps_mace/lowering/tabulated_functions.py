"""Splines for very many pairs of species: of the few functions that all radial weights are made of.

A spline of every radial weight of every pair takes megabytes for a pair. Those of the functions
before the last linear map take a twentieth of that; the map is then a matrix product for each edge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from lammps_mace.kernels import Grid, spline_rows
from lammps_mace.lowering.radial_splines import Splines
from lammps_mace.lowering.species_pairs import SpeciesPairs
from lammps_mace.models.description import ModelDescription, RadialWeights

MOST_BYTES = 2**28  # of the splines of all weights of a model


def most_numbers(description: ModelDescription, radial: RadialWeights) -> int:
    """Return how many coefficients the splines of the weights of a layer may have."""
    widths = [layer.radial.matrix.shape[1] for layer in description.layers]
    share = MOST_BYTES * radial.matrix.shape[1] // sum(widths)
    return share // np.dtype(description.dtype).itemsize


def bare_functions(radial: RadialWeights) -> RadialWeights:
    """Return the functions before the last map, as weights."""
    unit = np.eye(len(radial.matrix))
    return replace(radial, matrix=unit, identity=f"functions of {radial.identity}")


def tabulated(radial: RadialWeights, pairs: SpeciesPairs, found: Splines) -> RadialWeights:
    """Return the radial weights with splines in the place of their functions.

    Args:
        found: of :func:`bare_functions`.
    """
    grid: Grid = found.grid
    _, rows, n_functions = found.coefficients.shape

    def functions(parameters: Any, r: jax.Array, senders: Any, receivers: Any) -> jax.Array:
        table, first_rows = parameters
        return spline_rows(table, first_rows[receivers, senders], grid, r)

    table = found.coefficients.reshape(-1, n_functions)
    parameters = table, pairs.index * np.int32(rows)
    return replace(radial, functions=functions, parameters=parameters, network=None)
