"""Symmetric contraction of the backend "e3j": powers coupled one factor at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from functools import lru_cache

import e3nn_jax as e3nn
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.models.blocks.linear import irrep_order, weight_names
from lammps_mace.models.blocks.polynomial import Polynomial, Term
from lammps_mace.models.blocks.power_basis import (
    BilinearMap,
    Expansion,
    PowerBasis,
    TargetPaths,
    expansions,
    power_basis,
)

# Above this bound (such as l_max 4 with correlation 4) the tables of the polynomial would cost more
# memory than the powers themselves; of the bound about a tenth is used.
MOST_COEFFICIENTS = 200_000_000


@lru_cache
def e3j_basis(source: e3nn.Irreps, target: e3nn.Irreps, correlation: int) -> PowerBasis:
    """Return the basis of the contraction; all irreps have multiplicity 1."""
    as_pairs = (tuple((ir.l, ir.p) for _, ir in irreps) for irreps in (source, target))
    return power_basis(*as_pairs, correlation)


@lru_cache
def e3j_polynomial(source: e3nn.Irreps, target: e3nn.Irreps, correlation: int) -> Polynomial:
    """Return the contraction as a polynomial whose components are those of ``target``.

    The weights of one power and one irrep have the key of :func:`power_key`; they are the columns
    of the irrep's parameter that :func:`columns_by_power` gives.
    """
    basis = e3j_basis(source, target, correlation)
    powers = expansions(basis)
    rows, prefixes, lasts = _monomial_table(powers, basis)
    components = tuple(
        _component(basis, powers, rows, paths, m)
        for paths in basis.targets
        for m in range(paths.irrep.dim)
    )
    return Polynomial(prefixes, lasts, components)


def power_key(order: int, irrep: tuple[int, int]) -> str:
    """Key of the weights of one power and one target irrep (l, p)."""
    return f"{order}_{irrep[0]}_{irrep[1]}"


def columns_by_power(basis: PowerBasis, paths: TargetPaths) -> tuple[slice, ...]:
    """Which columns of an irrep's weights belong to each power, from the first."""
    ends = np.searchsorted(paths.rows[:, 0], np.cumsum((0, *basis.dims))).tolist()
    return tuple(slice(*pair) for pair in itertools.pairwise(ends))


def coefficient_count(basis: PowerBasis) -> int:
    """Upper bound of the number of coefficients of :func:`e3j_polynomial`."""
    n, total = basis.dims[0], 0
    for paths in basis.targets:
        for order, columns in enumerate(columns_by_power(basis, paths), start=1):
            n_paths = columns.stop - columns.start
            total += n_paths * paths.irrep.dim * math.comb(n + order - 1, order)
    return total


def contraction_fits(basis: PowerBasis) -> bool:
    """Whether the contraction is small enough to be written as a polynomial."""
    return coefficient_count(basis) <= MOST_COEFFICIENTS


def _component(
    basis: PowerBasis,
    powers: tuple[Expansion, ...],
    table: list[np.ndarray],
    paths: TargetPaths,
    m: int,
) -> tuple[Term, ...]:
    """Terms of component m of one target irrep, one per power that reaches it."""
    terms, offset = [], 0
    by_power = columns_by_power(basis, paths)
    for order, (power, columns) in enumerate(zip(powers, by_power, strict=True), start=1):
        path_rows = paths.rows[columns, m] - offset
        offset += basis.dims[order - 1]
        used = np.isin(power.row, path_rows)
        if not used.any():
            continue
        monomials, which = np.unique(table[order - 1][used], return_inverse=True)
        dense = np.zeros((monomials.size, path_rows.size))
        dense[which, np.searchsorted(path_rows, power.row[used])] = power.value[used]
        terms.append(Term(power_key(order, paths.irrep), monomials, dense))
    return tuple(terms)


def _monomial_table(
    powers: tuple[Expansion, ...], basis: PowerBasis
) -> tuple[list[np.ndarray], tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Give numbers to monomials, each made of a shorter one (prefix) and its last factor.

    Returns:
        per power the monomial's number of each term of its expansion (-1 where no target needs
        it), and the prefixes and lasts of :class:`Polynomial`.
    """
    n = basis.dims[0]
    wanted = _wanted_keys(powers, basis)
    starts = np.cumsum([0, *(keys.size for keys in wanted)])
    rows, prefixes, lasts = [], [], []
    for order, (power, keys) in enumerate(zip(powers, wanted, strict=True)):
        own = _keys(power.monomial, n)
        position = np.minimum(np.searchsorted(keys, own), keys.size - 1)
        rows.append(np.where(keys[position] == own, starts[order] + position, -1))
        if order:
            prefixes.append(starts[order - 1] + np.searchsorted(wanted[order - 1], keys // n))
            lasts.append(keys % n)
    return rows, tuple(prefixes), tuple(lasts)


def _wanted_keys(powers: tuple[Expansion, ...], basis: PowerBasis) -> list[np.ndarray]:
    """Per power the sorted keys of the monomials in some target, or that start one."""
    n, offsets = basis.dims[0], np.cumsum((0, *basis.dims))
    target_rows = np.concatenate([paths.rows.ravel() for paths in basis.targets])
    wanted: list[np.ndarray] = []
    longer = np.zeros(0, int)
    for order in reversed(range(len(powers))):
        power = powers[order]
        used = np.isin(power.row + offsets[order], target_rows)
        keys = np.unique(np.concatenate([_keys(power.monomial[used], n), longer // n]))
        wanted.insert(0, keys if order else np.arange(n))
        longer = keys
    return wanted


def _keys(monomial: np.ndarray, n: int) -> np.ndarray:
    """Return the factors as digits of one number to base n, the last one least."""
    return monomial @ n ** np.arange(monomial.shape[1])[::-1]


def all_powers(basis: PowerBasis, features: jax.Array) -> jax.Array:
    """Evaluate all powers put together, [n, sum of basis.dims, channels].

    The plain way, linear in the number of couplings; what :func:`e3j_polynomial` is made from.
    """
    x = jnp.swapaxes(features, 0, 1)  # rows first: a gather then copies whole rows
    powers = [x]
    for product in basis.products:
        powers.append(_multiply(product, powers[-1], x))
    return jnp.swapaxes(jnp.concatenate(powers), 0, 1)


def _multiply(product: BilinearMap, left: jax.Array, right: jax.Array) -> jax.Array:
    value = product.value.astype(left.dtype)[:, None, None]
    terms = value * left[product.left_index] * right[product.right_index]
    return jax.ops.segment_sum(terms, product.out_index, product.dim, indices_are_sorted=True)


def contract_powers(
    basis: PowerBasis, features: jax.Array, weights: Iterable[jax.Array], species: jax.Array
) -> jax.Array:
    """Contract without a polynomial; weights [n_species, n_paths, channels] per target irrep."""
    powers = all_powers(basis, features)
    out = [
        jnp.einsum("npmc,npc->nmc", powers[:, paths.rows], weight[species])
        for paths, weight in zip(basis.targets, weights, strict=True)
    ]
    return jnp.concatenate(out, axis=1)


class SymmetricContractionE3J(nn.Module):
    """B = W_species (A + A(x)A + ... ) with the paths and weights of mlip's backend ``e3j``.

    Attributes:
        source, target: irreps of multiplicity 1; all channels are treated alike.
        correlation: highest power.
        num_species, num_channels: sizes of the weights.
    """

    source: e3nn.Irreps
    target: e3nn.Irreps
    correlation: int
    num_species: int
    num_channels: int

    @nn.compact
    def __call__(self, features: jax.Array, species: jax.Array) -> jax.Array:
        """Return [n, target dim, channels] for [n, source dim, channels] and int [n]."""
        source, target = e3nn.Irreps(self.source), e3nn.Irreps(self.target)
        basis = e3j_basis(source, target, self.correlation)
        n_paths = tuple((e3nn.Irrep(*p.irrep), p.rows.shape[0]) for p in basis.targets)
        # Named as in checkpoints.
        parameters = PathWeights(
            n_paths, self.num_species, self.num_channels, name="LinearIndexwise_0"
        )
        weights = parameters(features.dtype)
        if not contraction_fits(basis):
            return contract_powers(basis, features, weights, species)
        keyed = {
            power_key(order, paths.irrep): weight[:, columns]
            for paths, weight in zip(basis.targets, weights, strict=True)
            for order, columns in enumerate(columns_by_power(basis, paths), start=1)
        }
        polynomial = e3j_polynomial(source, target, self.correlation)
        return polynomial(features, keyed, species)


class PathWeights(nn.Module):
    """One weight per species, channel and path, in one array per target irrep.

    Attributes:
        n_paths: (irrep, paths to it) for every target irrep.
        num_species, num_channels: sizes of the weights.
    """

    n_paths: tuple[tuple[e3nn.Irrep, int], ...]
    num_species: int
    num_channels: int

    @nn.compact
    def __call__(self, dtype: jnp.dtype) -> list[jax.Array]:
        """Return per target irrep [n_species, n_paths, channels]."""
        n_paths = dict(self.n_paths)
        reached = sorted((ir for ir in n_paths if n_paths[ir]), key=irrep_order)
        names = weight_names({ir: n_paths[ir] for ir in reached}, dict.fromkeys(n_paths, 1))
        found = {}
        for irrep, name in names.items():
            init = nn.initializers.normal(max(n_paths[irrep], 1) ** -0.5)
            shape = (self.num_species, self.num_channels, 1, n_paths[irrep])
            found[irrep] = jnp.swapaxes(self.param(name, init, shape)[:, :, 0], 1, 2).astype(dtype)
        return [found[irrep] for irrep in n_paths]
