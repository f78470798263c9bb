"""The density of an atom's neighbours, by which the sums over them are divided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from lammps_mace.engine.chunk import Chunk
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.kernels import EdgePath, EdgeProgram
from lammps_mace.lowering.edge_functions import function_weights
from lammps_mace.lowering.edge_sums import EdgeSums, Sent, by_path, spline_weights
from lammps_mace.lowering.radial_splines import Splines
from lammps_mace.lowering.species_pairs import SpeciesPairs
from lammps_mace.models.description import Density, ModelDescription


@dataclass(frozen=True, eq=False)
class DensityProgram:
    """How a density is computed: all neighbours send the number 1.

    Attributes:
        edges: the sums of its function.
        constant, factor: of the description.
    """

    edges: EdgeSums
    constant: float
    factor: float

    def forward(self, weights: Any, arrays: StepArrays, chunk: Chunk) -> jax.Array:
        """Return N of each atom of a chunk, [slots]."""
        radial = self.edges.radial_of(weights, arrays, chunk, slopes=False)
        (sums,) = self.edges.forward(radial, arrays, chunk, _ones(weights, arrays))
        return self.constant + self.factor * sums[:, 0, 0]

    def backward(
        self, weights: Any, arrays: StepArrays, chunk: Chunk, adjoint: jax.Array, vectors: jax.Array
    ) -> jax.Array:
        """Return dE/d vectors with what the adjoint of N adds to it."""
        sent, radial = _ones(weights, arrays), self.edges.radial_of(weights, arrays, chunk, True)
        adjoints = ((self.factor * adjoint)[:, None, None],)
        return self.edges.backward(radial, arrays, chunk, sent, adjoints, vectors, None)[0]


def density_program(
    density: Density,
    found: Splines | None,
    pairs: SpeciesPairs,
    description: ModelDescription,
    backend: str,
) -> tuple[DensityProgram, dict[str, Any]]:
    """Return the program of a density and its weights.

    Args:
        found: splines in the place of its function, or None.
        pairs: of species, of ``found``.
        description: of the whole model.
    """
    path = EdgePath(source=0, degree=0, target=0, coefficients=np.ones((1, 1, 1)))
    program = EdgeProgram((0,), (0,), (path,), channels=1, cutoff=description.cutoff)
    if found is None:
        weights: dict[str, Any] = {"radial": function_weights(density.radial)}
    else:
        program = replace(program, knot_scale=found.grid.scale, n_splines=len(pairs))
        weights = spline_weights(by_path(found, program), pairs, description.dtype)
    edges = EdgeSums(program, density.radial, backend)
    weights["ones"] = np.ones((len(pairs.index), 1, 1))
    return DensityProgram(edges, density.constant, density.factor), weights


def _ones(weights: Any, arrays: StepArrays) -> Sent:
    return Sent(arrays.sender_species, weights["ones"])
