"""EdgeSums: the sums over the neighbours of a chunk's atoms, with splines or radial functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.engine.chunk import Chunk
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.kernels import (
    EdgeOperands,
    EdgeProgram,
    EdgeWeights,
    Spline,
    edges_backward,
    edges_forward,
    linear,
    pack_matrices,
    pack_spline,
)
from lammps_mace.lowering.radial_splines import Splines
from lammps_mace.lowering.species_pairs import SpeciesPairs
from lammps_mace.models.blocks.norms import safe_norm
from lammps_mace.models.description import RadialWeights


class Sent(NamedTuple):
    """The features that senders send.

    Attributes:
        rows: int32 [n_edges], of ``features``.
        features: [n_senders, dim, channels].
    """

    rows: jax.Array
    features: jax.Array


@dataclass(frozen=True, eq=False)
class EdgeSums:
    """An edge operation with its radial weights; all numbers are in the weights that it is given.

    Attributes:
        program: the edge operation.
        radial: its weights, where they are not splines.
        backend: of the kernels.
    """

    program: EdgeProgram
    radial: RadialWeights
    backend: str

    def forward(
        self, weights: Any, arrays: StepArrays, chunk: Chunk, sent: Sent
    ) -> tuple[jax.Array, ...]:
        """Return the sums, see :func:`lammps_mace.kernels.edges_forward`."""
        radial = self._radial(weights, arrays, chunk, chunk.pairs(arrays.vectors))
        edges = _operands(radial, arrays, chunk, sent)
        return edges_forward(self.program, edges, backend=self.backend)

    def backward(
        self, weights: Any, arrays: StepArrays, chunk: Chunk, sent: Sent,
        adjoints: tuple[jax.Array, ...], vectors: jax.Array, sent_adjoint: jax.Array | None,
    ) -> tuple[jax.Array, jax.Array | None]:  # fmt: skip
        """Return dE/d vectors and the adjoint of what was sent, each with what these adjoints add.

        Args:
            sent_adjoint: None where it is not wanted.
        """
        radial, pull_radial = jax.vjp(
            lambda vectors: self._radial(weights, arrays, chunk, vectors),
            chunk.pairs(arrays.vectors),
        )
        vectors, sent_adjoint, *values = edges_backward(
            self.program, _operands(radial, arrays, chunk, sent), adjoints, vectors, sent_adjoint,
            backend=self.backend,
        )  # fmt: skip
        if values:
            vectors = chunk.add_pairs(vectors, pull_radial(EdgeWeights(values[0]))[0])
        return vectors, sent_adjoint

    def _radial(
        self, weights: Any, arrays: StepArrays, chunk: Chunk, vectors: jax.Array
    ) -> Spline | EdgeWeights:
        if "spline" in weights:
            return Spline(weights["spline"], _first_rows(weights["first_rows"], arrays, chunk))
        values = self._values(weights["radial"], arrays, chunk, safe_norm(vectors))
        return EdgeWeights(values.reshape(len(values), len(self.program.paths), -1))

    def _values(
        self, weights: Any, arrays: StepArrays, chunk: Chunk, distances: jax.Array
    ) -> jax.Array:
        """Return the radial weights [n_edges, n_weights] as the network gives them; 0 for r = 0."""
        parameters, matrices, factor = weights
        senders = chunk.pairs(arrays.sender_species)
        receivers = jnp.broadcast_to(chunk.species, senders.shape)
        functions = self.radial.functions(parameters, distances, senders, receivers)
        # Zeros, and not the weights that they give: fewer numbers. Behind the chunk's pairs the
        # product and its adjoint are meaningless; nobody reads the one, zeros stop the other.
        mask = chunk.pair_mask() & (distances > 0.0)
        functions = jnp.where(mask[:, None], functions, 0.0)
        n_pairs = chunk.ends[-1] - chunk.first_pair
        (values,) = linear(
            [functions[:, None]], [matrices], jnp.int32(0), n_pairs, backend=self.backend
        )
        return values[:, 0] if factor is None else values[:, 0] * factor[senders, receivers]


def radial_weights(radial: RadialWeights, backend: str) -> dict[str, Any]:
    """Return the weights of :class:`EdgeSums` with the radial functions themselves."""
    matrices = pack_matrices(radial.matrix[None], backend)
    return {"radial": (radial.parameters, matrices, radial.factor)}


def spline_weights(coefficients: np.ndarray, pairs: SpeciesPairs, dtype: str) -> dict[str, Any]:
    """Return the weights of :class:`EdgeSums` with splines.

    Args:
        coefficients: [n_pairs, knots + degree, n_paths, channels].
        dtype: of the table.

    Returns:
        spline: the packed table; first_rows: int32 [n_species, n_species], of receivers and of
        senders, where their spline begins, None if there is one for all.
    """
    n_pairs, rows, *shape = coefficients.shape
    table = pack_spline(coefficients.astype(dtype).reshape(n_pairs * rows, *shape))
    return {"spline": table, "first_rows": None if n_pairs == 1 else pairs.index * np.int32(rows)}


def by_path(found: Splines, program: EdgeProgram) -> np.ndarray:
    """Return coefficients [n_pairs, knots + degree, n_paths, channels]."""
    return found.coefficients.reshape(*found.coefficients.shape[:2], len(program.paths), -1)


def _first_rows(table: jax.Array | None, arrays: StepArrays, chunk: Chunk) -> jax.Array | None:
    """Return where the spline of each pair of a chunk begins."""
    return None if table is None else table[chunk.species][chunk.pairs(arrays.sender_species)]


def _operands(
    radial: Spline | EdgeWeights, arrays: StepArrays, chunk: Chunk, sent: Sent
) -> EdgeOperands:
    return EdgeOperands(
        radial, arrays.vectors, chunk.starts, chunk.ends, *sent, chunk.n_pairs
    )  # fmt: skip
