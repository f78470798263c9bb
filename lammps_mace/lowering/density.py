"""The density of an atom's neighbours, by which the sums over them are divided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from lammps_mace.engine.chunk import Chunk
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.kernels import Grid, spline_rows
from lammps_mace.lowering.neighbour_sums import neighbour_sums
from lammps_mace.lowering.radial_splines import Splines, radial_values
from lammps_mace.lowering.species_pairs import SpeciesPairs
from lammps_mace.models.description import Density


@dataclass(frozen=True, eq=False)
class DensityProgram:
    """How a density is computed; the numbers are in its weights.

    Attributes:
        density: of the description.
        cutoff: Å.
        grid: of the knots where a spline stands for its function, else None.
    """

    density: Density
    cutoff: float
    grid: Grid | None

    def divisors(
        self, weights: Any, arrays: StepArrays, chunk: Chunk, vectors: jax.Array
    ) -> jax.Array:
        """Return N of each atom of a chunk, [slots]; differentiable in the vectors."""

        def function(r: jax.Array, senders: jax.Array, receivers: jax.Array) -> jax.Array:
            if self.grid is None:
                radial = weights["radial"]
                return radial_values(self.density.radial, radial, r, senders, receivers)[:, 0]
            first_rows = weights["first_rows"][receivers, senders]
            return spline_rows(weights["spline"], first_rows, self.grid, r)[:, 0]

        sums = neighbour_sums(function, self.cutoff, arrays, chunk, vectors)
        return self.density.constant + self.density.factor * sums


def density_weights(density: Density, pairs: SpeciesPairs, found: Splines | None) -> dict[str, Any]:
    """Return the weights of a :class:`DensityProgram`: splines for these pairs, or the function."""
    radial = density.radial
    if found is None:
        return {"radial": (radial.parameters, radial.matrix, radial.factor)}
    rows = np.int32(found.coefficients.shape[1])
    return {"spline": found.coefficients.reshape(-1, 1), "first_rows": pairs.index * rows}
