"""The contraction of a layer as the kernels take it: its monomials and a weight for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.engine.chunk import Chunk
from lammps_mace.kernels import (
    ContractionOperands,
    ContractionProgram,
    contract,
    contract_backward,
)
from lammps_mace.models.blocks.polynomial import Polynomial
from lammps_mace.models.description import Contraction, LayerDescription

Rows = tuple[jax.Array, ...]  # per irrep of the messages, [n, 2l+1, channels]


@dataclass(frozen=True, eq=False)
class ContractionChain:
    """The polynomials of a contraction: each reads the messages, and what the one before made.

    Attributes:
        programs: the last one makes the results of the layer.
        copies: of the messages, which lie in their channels; see :class:`LayerDescription`.
        backend: of the kernels.
    """

    programs: tuple[ContractionProgram, ...]
    copies: int
    backend: str

    def __call__(
        self, weights: Any, chunk: Chunk, messages: Rows
    ) -> tuple[jax.Array, Callable[[jax.Array], Rows]]:
        """Return the contracted messages [n, dim, channels], and what pulls their adjoint back.

        Args:
            weights: of each program, [n_species, n_terms, channels].
        """
        blocks = tuple(self._rows(block) for block in messages)
        found: Rows = ()
        operands = []
        for program, terms in zip(self.programs, weights, strict=True):
            read = ContractionOperands((*blocks, *found), terms, chunk.species, chunk.n_atoms)
            operands.append(read)
            found = (contract(program, read, backend=self.backend),)

        def pull_back(adjoint: jax.Array) -> Rows:
            total: Rows | None = None
            for program, read in zip(self.programs[::-1], operands[::-1], strict=True):
                adjoints = contract_backward(program, read, adjoint, backend=self.backend)
                of_messages, (adjoint, *_) = adjoints[: len(blocks)], adjoints[::-1]
                total = of_messages if total is None else tuple(map(jnp.add, total, of_messages))
            assert total is not None  # there is a program
            return tuple(x.reshape(block.shape) for x, block in zip(total, messages, strict=True))

        return found[-1], pull_back

    def _rows(self, block: jax.Array) -> jax.Array:
        """Return [n, dim, copies * channels] as [n, dim * copies, channels]."""
        n, dim, channels = block.shape
        return block.reshape(n, dim * self.copies, channels // self.copies)


def contraction(
    layer: LayerDescription, n_species: int, backend: str
) -> tuple[ContractionChain, list[np.ndarray]]:
    """Return the contraction of a layer and the weights of its programs.

    Terms with irreps that no path reaches are left out: they are zero.
    """
    steps: list[Contraction] = []
    step: Contraction | None = layer.contraction
    while step is not None:
        steps.insert(0, step)
        step = step.inner
    rows, dims = _reached_rows(layer)
    n_messages, n_rows = layer.messages.dim * layer.copies, sum(dims)
    found, n_inner = [], 0
    for step in steps:
        made = {n_messages + i: n_rows + i for i in range(n_inner)}
        read = (*dims, n_inner) if n_inner else dims
        found.append(_program(step, n_messages + n_inner, rows | made, read, n_species))
        n_inner = len(step.polynomial.components)
    programs, weights = zip(*found, strict=True)
    return ContractionChain(programs, layer.copies, backend), list(weights)


def _program(
    contraction: Contraction, dim: int, rows: dict[int, int], dims: tuple[int, ...], n_species: int
) -> tuple[ContractionProgram, np.ndarray]:
    """Return a polynomial as a program, and its weights.

    Args:
        dim: number of its variables.
        rows: of the features, for those that are not zero.
        dims: rows of each block of the features.
    """
    polynomial, weights = contraction.polynomial, contraction.weights
    monomials = _monomials(polynomial, dim)
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
    """Return variable -> row of the contraction's features, and its block sizes."""
    reached, start = reached_irreps(layer), 0
    rows: dict[int, int] = {}
    for _, irrep in layer.messages:
        size = irrep.dim * layer.copies
        if irrep in reached:
            rows.update({start + m: len(rows) + m for m in range(size)})
        start += size
    return rows, tuple(irrep.dim * layer.copies for irrep in reached)


def _monomials(polynomial: Polynomial, dim: int) -> list[tuple[int, ...]]:
    """Return the factors of every row of a polynomial's monomial table."""
    named: list[tuple[int, ...]] = [(i,) for i in range(dim)]
    for prefixes, lasts in zip(polynomial.prefixes, polynomial.lasts, strict=True):
        named += [(*named[p], int(i)) for p, i in zip(prefixes, lasts, strict=True)]
    return named
