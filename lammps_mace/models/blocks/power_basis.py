"""Equivariant powers x, x(x)x, ... of a representation: sparse maps and monomials (numpy only).

Power ``nu`` is built from power ``nu - 1`` and ``x`` with Clebsch-Gordan coefficients. The order of
the paths is that of the "e3j" symmetric contraction of mlip checkpoints: it fixes which column of a
weight array belongs to which path, so it is part of the file format and must not change.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import e3nn_jax as e3nn
import numpy as np

_NOISE = 1e-13  # smaller coefficients are rounding errors of zeros (true ones exceed 1e-4)


class Irrep(NamedTuple):
    """An irreducible representation of O(3): degree l and parity p (+1 or -1)."""

    l: int  # noqa: E741
    p: int

    @property
    def dim(self) -> int:
        """Number of components."""
        return 2 * self.l + 1

    @property
    def order(self) -> tuple[int, bool]:
        """Sort key: by degree, and within one degree the natural parity (-1)^l first."""
        return self.l, self.p != (-1) ** self.l


class Block(NamedTuple):
    """``mul`` copies of one irrep, one after the other; the first component is row ``start``."""

    irrep: Irrep
    mul: int
    start: int

    def rows(self) -> np.ndarray:
        """Row numbers, [mul, 2l+1]."""
        return self.start + np.arange(self.mul * self.irrep.dim).reshape(self.mul, -1)


@dataclass(frozen=True, eq=False)
class BilinearMap:
    """out[i] = sum of value * left[left_index] * right[right_index] over the terms of row i.

    Terms are sorted by out_index. Rows without a term are zero for every input.

    Attributes:
        dim: number of rows of out.
        out_index, left_index, right_index: int32 [n_terms].
        value: float64 [n_terms].
    """

    dim: int
    out_index: np.ndarray
    left_index: np.ndarray
    right_index: np.ndarray
    value: np.ndarray


class TargetPaths(NamedTuple):
    """Where the paths to one target irrep lie; path k multiplies column k of its weights."""

    irrep: Irrep
    rows: np.ndarray  # int32 [n_paths, 2l+1], rows of all powers put together


@dataclass(frozen=True, eq=False)
class PowerBasis:
    """All powers of x up to the correlation order, and how they feed the target.

    Rows of "all powers put together": the ``dims[0]`` components of x, then ``dims[1]`` rows of the
    second power, and so on.

    Attributes:
        dims: rows of each power, from the first.
        products: for power nu = 2.. the map (power nu-1, x) -> power nu.
        targets: one entry per target irrep, in the target's order.
    """

    dims: tuple[int, ...]
    products: tuple[BilinearMap, ...]
    targets: tuple[TargetPaths, ...]

    @property
    def correlation(self) -> int:
        """Highest power."""
        return len(self.dims)


@functools.lru_cache(maxsize=64)
def power_basis(
    source: tuple[tuple[int, int], ...], target: tuple[tuple[int, int], ...], correlation: int
) -> PowerBasis:
    """Build the basis.

    Args:
        source: (l, p) of each irrep of x, one copy each, in the order of its components.
        target: (l, p) of each irrep to reach, each once.
        correlation: highest power, 1 or more.
    """
    irreps = tuple(Irrep(*ir) for ir in source)
    keep = tuple(Irrep(*ir) for ir in target)
    right = _stack((ir, 1) for ir in irreps)
    powers = [right]
    products: list[BilinearMap] = []
    for nu in range(2, correlation + 1):
        reachable = _reachable(irreps, keep, correlation - nu)
        power, product = _next_power(powers[-1], right, reachable)
        powers.append(power)
        products.append(
            _drop_zero_rows(product, products[-1]) if products else _merge_symmetric(product)
        )
    dims = tuple(_dim(power) for power in powers)
    return PowerBasis(dims, tuple(products), _targets(powers, dims, keep))


def _stack(blocks: Iterable[tuple[Irrep, int]]) -> tuple[Block, ...]:
    out, start = [], 0
    for irrep, mul in blocks:
        out.append(Block(irrep, mul, start))
        start += mul * irrep.dim
    return tuple(out)


def _dim(blocks: tuple[Block, ...]) -> int:
    return sum(b.mul * b.irrep.dim for b in blocks)


def _times(a: Irrep, b: Irrep) -> tuple[Irrep, ...]:
    """Irreps of the product of two irreps, lowest degree first."""
    return tuple(Irrep(degree, a.p * b.p) for degree in range(abs(a.l - b.l), a.l + b.l + 1))


def _reachable(
    source: tuple[Irrep, ...], target: tuple[Irrep, ...], steps: int
) -> frozenset[Irrep]:
    """Irreps that are in the target, or can get there by at most ``steps`` products with x."""
    reachable, frontier = set(target), set(target)
    for _ in range(steps):
        frontier = {ir for a in frontier for b in source for ir in _times(a, b)}
        reachable |= frontier
    return frozenset(reachable)


def _next_power(
    left: tuple[Block, ...], right: tuple[Block, ...], keep: frozenset[Irrep]
) -> tuple[tuple[Block, ...], BilinearMap]:
    paths = [(ir, a, b) for a in left for b in right for ir in _times(a.irrep, b.irrep)]
    # sorted() is stable: within an irrep the paths keep the order (left, right).
    paths = sorted((path for path in paths if path[0] in keep), key=lambda path: path[0].order)
    muls: dict[Irrep, int] = {}
    terms, start = [], 0
    for irrep, a, b in paths:
        terms.append(_coupling(Block(irrep, a.mul, start), a, b))
        muls[irrep] = muls.get(irrep, 0) + a.mul
        start += a.mul * irrep.dim
    return _stack(muls.items()), _bilinear(start, terms)


def _coupling(out: Block, left: Block, right: Block) -> tuple[np.ndarray, ...]:
    """Terms (out, left, right, value) of one coupling; copy k of left gives copy k of out."""
    i, j, k, value = _clebsch_gordan(out.irrep.l, left.irrep.l, right.irrep.l)
    copies = np.arange(left.mul)[:, None]
    index = (
        out.start + copies * out.irrep.dim + i,
        left.start + copies * left.irrep.dim + j,
        right.start + 0 * copies + k,
    )
    return (*(a.ravel() for a in index), np.tile(value, left.mul))


@functools.cache
def _clebsch_gordan(out: int, left: int, right: int) -> tuple[np.ndarray, ...]:
    """Non-zero entries (i, j, k, value); the squares of all values sum to 1."""
    dense = e3nn.clebsch_gordan(out, left, right)
    index = np.nonzero(np.abs(dense) > _NOISE)
    return (*index, dense[index])


def _bilinear(dim: int, terms: list[tuple[np.ndarray, ...]]) -> BilinearMap:
    if not terms:
        terms = [(np.zeros(0, int),) * 3 + (np.zeros(0),)]
    out, left, right, value = (np.concatenate(column) for column in zip(*terms, strict=True))
    order = np.lexsort((right, left, out))
    out, left, right = (a[order].astype(np.int32) for a in (out, left, right))
    return BilinearMap(dim, out, left, right, value[order])


def _merge_symmetric(product: BilinearMap) -> BilinearMap:
    """Where left and right are the same x, add the terms (j, k) and (k, j).

    Half of the terms go, and antisymmetric paths (which are zero, though they have weights) go too.
    """
    low = np.minimum(product.left_index, product.right_index)
    high = np.maximum(product.left_index, product.right_index)
    keys = np.stack([product.out_index, low, high])
    (out, left, right), which = np.unique(keys, axis=1, return_inverse=True)
    value = np.bincount(which.ravel(), product.value, minlength=out.size)
    keep = np.abs(value) > _NOISE
    return BilinearMap(product.dim, out[keep], left[keep], right[keep], value[keep])


def _drop_zero_rows(product: BilinearMap, previous: BilinearMap) -> BilinearMap:
    """Leave out terms whose left factor is zero for every input."""
    nonzero = np.zeros(previous.dim, bool)
    nonzero[previous.out_index] = True
    keep = nonzero[product.left_index]
    out, left, right = product.out_index[keep], product.left_index[keep], product.right_index[keep]
    return BilinearMap(product.dim, out, left, right, product.value[keep])


def _targets(
    powers: list[tuple[Block, ...]], dims: tuple[int, ...], keep: tuple[Irrep, ...]
) -> tuple[TargetPaths, ...]:
    offsets = np.concatenate([[0], np.cumsum(dims)])
    out = []
    for irrep in keep:
        rows = [np.zeros((0, irrep.dim), int)]
        for power, offset in zip(powers, offsets[:-1], strict=True):
            rows += [offset + b.rows() for b in power if b.irrep == irrep]
        out.append(TargetPaths(irrep, np.concatenate(rows).astype(np.int32)))
    return tuple(out)


@dataclass(frozen=True, eq=False)
class Expansion:
    """One power written out: power[row] = sum of value * product of x[monomial].

    Attributes:
        row: int [n_terms], ascending.
        monomial: int [n_terms, nu], ascending factors; no monomial stands twice in a row.
        value: float64 [n_terms].
    """

    row: np.ndarray
    monomial: np.ndarray
    value: np.ndarray


def expansions(basis: PowerBasis) -> tuple[Expansion, ...]:
    """Write every power as polynomials in the components of x, one entry per power."""
    n = basis.dims[0]
    out = [Expansion(np.arange(n), np.arange(n)[:, None], np.ones(n))]
    for product in basis.products:
        out.append(_collect(*_substitute(product, out[-1]), n))
    return tuple(out)


def _substitute(product: BilinearMap, left: Expansion) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put the polynomials of the left factor into a product; returns row, factors, value."""
    first, end = (np.searchsorted(left.row, product.left_index, side) for side in ("left", "right"))
    counts = end - first
    term = np.repeat(np.arange(counts.size), counts)
    inner = np.arange(term.size) - np.repeat(np.cumsum(counts) - counts, counts) + first[term]
    factors = np.column_stack([left.monomial[inner], product.right_index[term]])
    value = product.value[term] * left.value[inner]
    return product.out_index[term], np.sort(factors, axis=1), value


def _collect(row: np.ndarray, factors: np.ndarray, value: np.ndarray, n: int) -> Expansion:
    """Add up equal monomials of equal rows; n is the number of variables."""
    shape = (int(row.max(initial=0)) + 1, *(n,) * factors.shape[1])
    key = np.ravel_multi_index((row, *factors.T), shape)
    unique, which = np.unique(key, return_inverse=True)
    total = np.bincount(which, value, minlength=unique.size)
    keep = np.abs(total) > _NOISE
    row, *columns = np.unravel_index(unique[keep], shape)
    return Expansion(row, np.column_stack(columns), total[keep])
