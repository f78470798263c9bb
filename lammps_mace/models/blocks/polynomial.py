"""Equivariant polynomials: sums of distinct sorted monomials of the atomic features."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

Monomial = tuple[int, ...]  # indices of the factors, ascending

_ZERO = 1e-12


@dataclass(frozen=True, eq=False)
class Term:
    """All monomials of one order in one output component.

    Attributes:
        key: which weights multiply it.
        monomials: int [n_terms], rows of the monomial table.
        coefficients: float64 [n_terms, n_weights].
    """

    key: str
    monomials: np.ndarray
    coefficients: np.ndarray


@dataclass(frozen=True, eq=False)
class Polynomial:
    """A polynomial map of [dim] to [n_components], linear in its weights.

    Attributes:
        prefixes, lasts: per order above one, how each monomial of the table is made: the row of
            the monomial without its last factor, and that factor.
        components: per output component its terms.
    """

    prefixes: tuple[np.ndarray, ...]
    lasts: tuple[np.ndarray, ...]
    components: tuple[tuple[Term, ...], ...]

    def tables(self, weights: Mapping[str, jax.Array], dtype: jnp.dtype) -> list[jax.Array | None]:
        """Return per component the coefficient of each of its monomials.

        Args:
            weights: key -> [n_species, n_weights, channels].

        Returns:
            per component [n_species, n_terms, channels], None for a component without terms.
        """
        return [
            jnp.concatenate(
                [
                    jnp.einsum("tk,skc->stc", t.coefficients.astype(dtype), weights[t.key])
                    for t in terms
                ],
                axis=1,
            )
            if terms
            else None
            for terms in self.components
        ]

    def monomials(self, features: jax.Array) -> jax.Array:
        """Return the monomial table [n, n_monomials, channels] of [n, dim, channels]."""
        levels = [features]
        start = 0
        for prefix, last in zip(self.prefixes, self.lasts, strict=True):
            levels.append(levels[-1][:, _int32(prefix - start)] * features[:, _int32(last)])
            start += levels[-2].shape[1]
        return jnp.concatenate(levels, axis=1)

    def __call__(
        self, features: jax.Array, weights: Mapping[str, jax.Array], species: jax.Array
    ) -> jax.Array:
        """Return [n, n_components, channels] for [n, dim, channels] and int [n] species."""
        table = self.monomials(features)
        found = []
        for terms, coefficients in zip(
            self.components, self.tables(weights, features.dtype), strict=True
        ):
            if coefficients is None:
                found.append(jnp.zeros_like(features[:, 0]))
                continue
            used = table[:, _int32(np.concatenate([t.monomials for t in terms]))]
            found.append((coefficients[species] * used).sum(axis=1))
        return jnp.stack(found, axis=1)


def _int32(numbers: np.ndarray) -> np.ndarray:
    """Return row numbers as JAX takes them in both precisions.

    Of an array of int64 it keeps what it made of it first, int64 or int32.
    """
    return numbers.astype(np.int32)


def from_tensors(dim: int, tensors: Sequence[Mapping[str, np.ndarray]]) -> Polynomial:
    """Rewrite dense tensors as a polynomial in sorted monomials.

    Args:
        dim: number of variables.
        tensors: per output component, key -> [dim,] * order + [n_weights].
    """
    sparse = [{key: _collect(tensor) for key, tensor in one.items()} for one in tensors]
    return from_monomials(dim, sparse)


def from_monomials(
    dim: int, sparse: Sequence[Mapping[str, Mapping[Monomial, np.ndarray]]]
) -> Polynomial:
    """Return the polynomial with these coefficients.

    Args:
        dim: number of variables.
        sparse: per output component, key -> monomials of one order -> [n_weights].
    """
    rows, prefixes, lasts = _monomial_table(dim, {m for s in sparse for t in s.values() for m in t})
    components = []
    for one in sparse:
        terms = [
            Term(key, np.array([rows[m] for m in terms]), np.stack(list(terms.values())))
            for key, terms in one.items()
            if terms
        ]
        components.append(tuple(terms))
    return Polynomial(prefixes, lasts, tuple(components))


def _collect(tensor: np.ndarray) -> dict[Monomial, np.ndarray]:
    # A product of features does not know the order of its factors: add up all permutations.
    order = tensor.ndim - 1
    indices = np.argwhere(np.abs(tensor).max(axis=-1) > _ZERO)
    terms: dict[Monomial, np.ndarray] = {}
    for index, values in zip(indices, tensor[tuple(indices.T)], strict=True):
        key = tuple(sorted(int(i) for i in index))
        terms[key] = terms[key] + values if key in terms else values
    kept = {key: value for key, value in terms.items() if np.abs(value).max() > _ZERO}
    return dict(sorted(kept.items())) if order else kept


def _monomial_table(
    dim: int, monomials: set[Monomial]
) -> tuple[dict[Monomial, int], tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    needed = {m[:k] for m in monomials for k in range(1, len(m) + 1)}
    needed |= {(i,) for i in range(dim)}
    by_order = itertools.groupby(sorted(needed, key=lambda m: (len(m), m)), key=len)
    rows: dict[Monomial, int] = {}
    prefixes, lasts = [], []
    for order, group in by_order:
        level = list(group)
        if order > 1:
            prefixes.append(np.array([rows[m[:-1]] for m in level]))
            lasts.append(np.array([m[-1] for m in level]))
        rows.update({m: len(rows) + i for i, m in enumerate(level)})
    return rows, tuple(prefixes), tuple(lasts)
