"""The contraction of a layer as the kernels take it: its monomials and a weight for each."""

from __future__ import annotations

import e3nn_jax as e3nn
import numpy as np

from lammps_mace.kernels import ContractionProgram
from lammps_mace.models.blocks.polynomial import Polynomial
from lammps_mace.models.description import LayerDescription


def contraction(layer: LayerDescription, n_species: int) -> tuple[ContractionProgram, np.ndarray]:
    """Return the contraction of a layer and its weights [n_species, n_terms, channels].

    Terms with irreps that no path reaches are left out: they are zero.
    """
    polynomial, weights = layer.contraction.polynomial, layer.contraction.weights
    rows, dims = _reached_rows(layer)
    monomials = _monomials(polynomial, layer.messages.dim)
    components, tables = [], []
    for terms in polynomial.components:
        used: list[tuple[int, ...]] = []
        for term in terms:
            named = [monomials[row] for row in term.monomials]
            reached = np.array([all(i in rows for i in m) for m in named], bool)
            used += [tuple(rows[i] for i in named[k]) for k in np.flatnonzero(reached)]
            tables.append(np.einsum("tk,skc->stc", term.coefficients[reached], weights[term.key]))
        components.append(tuple(used))
    program = ContractionProgram(dims, tuple(components))
    table = np.concatenate(tables, axis=1)
    return program, np.broadcast_to(table, (n_species, *table.shape[1:]))


def reached_irreps(layer: LayerDescription) -> list[e3nn.Irrep]:
    """Return the irreps of the messages that some path ends in, in their order."""
    reached = {path.target for path in layer.paths}
    return [irrep for _, irrep in layer.messages if irrep in reached]


def _reached_rows(layer: LayerDescription) -> tuple[dict[int, int], tuple[int, ...]]:
    """Return message component -> row of the contraction's features, and its block sizes."""
    reached, start = reached_irreps(layer), 0
    rows: dict[int, int] = {}
    for _, irrep in layer.messages:
        if irrep in reached:
            rows.update({start + m: len(rows) + m for m in range(irrep.dim)})
        start += irrep.dim
    return rows, tuple(irrep.dim for irrep in reached)


def _monomials(polynomial: Polynomial, dim: int) -> list[tuple[int, ...]]:
    """Return the factors of every row of a polynomial's monomial table."""
    named: list[tuple[int, ...]] = [(i,) for i in range(dim)]
    for prefixes, lasts in zip(polynomial.prefixes, polynomial.lasts, strict=True):
        named += [(*named[p], int(i)) for p, i in zip(prefixes, lasts, strict=True)]
    return named
