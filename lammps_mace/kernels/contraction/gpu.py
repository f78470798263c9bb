"""The contraction as kernels for GPUs, in Pallas through Triton; on a CPU they are interpreted.

A program takes one atom and one block of channels and reads from a list which rows to multiply, so
that a kernel is a few lines long and compiled at once: as straight-line code, the products of a
large contraction take Triton and XLA most of a minute.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.kernels import pallas_gpu as gpu
from lammps_mace.kernels.contraction import ContractionOperands, ContractionProgram
from lammps_mace.kernels.contraction import xla as contraction_xla

_BITS = 7  # of a row's number: four of them in a word
_NO_ROW = 2**_BITS - 1  # stands for a factor 1
# Per result its products: rows to multiply, and row of the weights.
_Lists = list[list[tuple[tuple[int, ...], int]]]


class _Products(NamedTuple):
    """Products of a weight and up to four rows, sorted by where they are added up.

    Attributes:
        starts: int32 [n_results + 1], first product of each result.
        factors: int32 [n_products, 2]: words of rows, and row of the weights.
        most: factors of a product.
    """

    starts: np.ndarray
    factors: np.ndarray
    most: int


def forward(program: ContractionProgram, messages: ContractionOperands) -> jax.Array:
    """See :func:`lammps_mace.kernels.contraction.contract`; all rows are computed."""
    if not _fits(program):
        return contraction_xla.forward(program, messages)
    x = jnp.concatenate(messages.blocks, axis=1)
    return _sums(_values(program), x, messages.weights, messages.species)


def backward(
    program: ContractionProgram, messages: ContractionOperands, adjoint: jax.Array
) -> tuple[jax.Array, ...]:
    """See :func:`lammps_mace.kernels.contraction.contract_backward`; all rows are computed."""
    if not _fits(program):
        return contraction_xla.backward(program, messages, adjoint)
    # A derivative is a product with one row less and the adjoint of its component.
    x = jnp.concatenate([*messages.blocks, adjoint], axis=1)
    gradient = _sums(_derivatives(program), x, messages.weights, messages.species)
    return tuple(jnp.split(gradient, np.cumsum(program.dims)[:-1], axis=1))


def _fits(program: ContractionProgram) -> bool:
    """Return whether words can hold the numbers of all rows and components."""
    return sum(program.dims) + len(program.components) <= _NO_ROW


def _values(program: ContractionProgram) -> _Products:
    lists: _Lists = [[] for _ in program.components]
    for term, (component, monomial) in enumerate(program.terms):
        lists[component].append((monomial, term))
    return _packed(lists)


def _derivatives(program: ContractionProgram) -> _Products:
    n_rows = sum(program.dims)
    lists: _Lists = [[] for _ in range(n_rows)]
    for term, (component, monomial) in enumerate(program.terms):
        for i, row in enumerate(monomial):
            others = monomial[:i] + monomial[i + 1 :]
            lists[row].append(((n_rows + component, *others), term))
    return _packed(lists)


def _packed(lists: _Lists) -> _Products:
    products = [product for one in lists for product in one]
    starts = np.cumsum([0, *map(len, lists)]).astype(np.int32)
    most = max((len(rows) for rows, _ in products), default=0)
    factors = np.zeros((max(len(products), 1), 2), np.int32)
    for i, (rows, term) in enumerate(products):
        filled = [*rows, *[_NO_ROW] * (most - len(rows))]
        factors[i] = sum(row << (_BITS * k) for k, row in enumerate(filled)), term
    return _Products(starts, factors, most)


def _sums(products: _Products, x: jax.Array, weights: jax.Array, species: jax.Array) -> jax.Array:
    """Return the sums of products of rows of x [B, rows, channels], [B, n_results, channels]."""
    atoms, _, channels = x.shape
    lanes, n_results = gpu.Lanes.of(channels), len(products.starts) - 1
    if not atoms:
        return jnp.zeros((0, n_results, channels), x.dtype)
    kernel = partial(_kernel, lanes, x.shape[1], products.most)
    (found,) = gpu.call(
        lambda interpret: kernel,
        [jax.ShapeDtypeStruct((atoms, n_results, channels), x.dtype)],
        (atoms, lanes.blocks),
        lanes.warps,
        [*map(jnp.asarray, (products.starts, products.factors)), species.reshape(1), weights, x],
    )
    return found


def _kernel(lanes: gpu.Lanes, n_rows: int, most: int, *refs: Any) -> None:
    starts, factors, species, weights, x, results = refs
    lane, there = lanes.here()
    atom, chosen = gpu.program_id(0), gpu.load(species, None, 0)

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        word = gpu.load(factors, None, i, 0)
        product = gpu.load(weights, there, chosen, gpu.load(factors, None, i, 1), lane)
        for k in range(most):
            row = (word >> (_BITS * k)) & _NO_ROW
            product *= gpu.load(x, there & (row < n_rows), atom, row, lane, other=1.0)
        return total + product

    def one(result: jax.Array, nothing: int) -> int:
        first, last = gpu.load(starts, None, result), gpu.load(starts, None, result + 1)
        total = jax.lax.fori_loop(first, last, add, jnp.zeros(lanes.size, x.dtype))
        gpu.store(results, there, total, atom, result, lane)
        return nothing

    jax.lax.fori_loop(0, starts.shape[0] - 1, one, 0)
