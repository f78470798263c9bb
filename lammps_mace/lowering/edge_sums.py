"""EdgeSums: the sums over the neighbours of a chunk's atoms, with splines or radial functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from lammps_mace.engine.chunk import Chunk
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.kernels import (
    EdgeOperands,
    EdgeProgram,
    Radial,
    Spline,
    edges_backward,
    edges_forward,
    pack_spline,
)
from lammps_mace.lowering.edge_functions import PairFunctions, edge_functions, pair_functions
from lammps_mace.lowering.radial_splines import Splines
from lammps_mace.lowering.species_pairs import SpeciesPairs
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

    def of_pairs(self, weights: Any, arrays: StepArrays) -> PairFunctions | None:
        """Return the radial functions of all pairs, None where they do not stand alone."""
        return pair_functions(self.radial, self.program, weights["radial"], arrays, self.backend)

    def radial_of(
        self, weights: Any, arrays: StepArrays, chunk: Chunk, slopes: bool,
        of_pairs: PairFunctions | None = None,
    ) -> Radial:  # fmt: skip
        """Return the radial weights of a chunk's pairs, with slopes for :meth:`backward`.

        Args:
            of_pairs: the functions of all pairs; None: those of the chunk are evaluated.
        """
        if "spline" in weights:
            return Spline(weights["spline"], _first_rows(weights["first_rows"], arrays, chunk))
        return edge_functions(
            self.radial, self.program, weights["radial"], arrays, chunk, slopes, self.backend,
            of_pairs,
        )  # fmt: skip

    def forward(
        self, radial: Radial, arrays: StepArrays, chunk: Chunk, sent: Sent
    ) -> tuple[jax.Array, ...]:
        """Return the sums, see :func:`lammps_mace.kernels.edges_forward`."""
        edges = _operands(radial, arrays, chunk, sent)
        return edges_forward(self.program, edges, backend=self.backend)

    def backward(
        self, radial: Radial, arrays: StepArrays, chunk: Chunk, sent: Sent,
        adjoints: tuple[jax.Array, ...], vectors: jax.Array, sent_adjoint: jax.Array | None,
    ) -> tuple[jax.Array, jax.Array | None]:  # fmt: skip
        """Return dE/d vectors and the adjoint of what was sent, each with what these adjoints add.

        Args:
            radial: with slopes.
            sent_adjoint: None where it is not wanted.
        """
        return edges_backward(
            self.program, _operands(radial, arrays, chunk, sent), adjoints, vectors, sent_adjoint,
            backend=self.backend,
        )  # fmt: skip


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


def _operands(radial: Radial, arrays: StepArrays, chunk: Chunk, sent: Sent) -> EdgeOperands:
    return EdgeOperands(
        radial, arrays.vectors, chunk.starts, chunk.ends, *sent, chunk.n_pairs
    )  # fmt: skip
