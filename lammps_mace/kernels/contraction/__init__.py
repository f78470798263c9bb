"""Symmetric contraction: per output component a polynomial in the atomic features.

y_i[o, c] = sum_t W[species, t, c] prod_{k in monomial t of component o} x_i[k, c]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import jax

from lammps_mace.kernels.backends import implementation

Monomial = tuple[int, ...]  # rows of the features, ascending
_HIGHEST_ORDER = 4


@dataclass(frozen=True)
class Node:
    """A factor shared by several monomials: x[row] * (weight + sum of the children).

    Attributes:
        row: of the features.
        weight: row of the weights, None where no monomial ends here.
        children: what the factor multiplies besides.
    """

    row: int
    weight: int | None
    children: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class ContractionProgram:
    """The monomials of a contraction; compared by identity.

    Attributes:
        dims: rows of each input block; the features are the blocks one after the other.
        components: per output component its monomials. Row of a monomial in the weights: its
            position among those of all components.
    """

    dims: tuple[int, ...]
    components: tuple[tuple[Monomial, ...], ...]

    def __post_init__(self) -> None:
        if any(len(set(component)) != len(component) for component in self.components):
            raise ValueError("a component names a monomial twice: add up their weights")
        for monomial in (m for component in self.components for m in component):
            if not 1 <= len(monomial) <= _HIGHEST_ORDER or list(monomial) != sorted(monomial):
                raise ValueError(
                    f"monomial {monomial}: give 1 to {_HIGHEST_ORDER} rows in ascending order"
                )
            if monomial[-1] >= sum(self.dims) or monomial[0] < 0:
                raise ValueError(f"monomial {monomial}: there are {sum(self.dims)} rows")

    @property
    def n_terms(self) -> int:
        """Return the number of rows of the weights."""
        return sum(map(len, self.components))

    @property
    def terms(self) -> list[tuple[int, Monomial]]:
        """Return the component and the monomial of each row of the weights."""
        return [(i, monomial) for i, all_of in enumerate(self.components) for monomial in all_of]

    @cached_property
    def trees(self) -> tuple[tuple[Node, ...], ...]:
        """Return per component its monomials, common factors shared."""
        rows: list[dict[Monomial, int]] = [{} for _ in self.components]
        for term, (component, monomial) in enumerate(self.terms):
            rows[component][monomial] = term
        return tuple(_forest(of_one) for of_one in rows)


def _forest(rows: dict[Monomial, int]) -> tuple[Node, ...]:
    """Return nodes whose sum is that of all monomials, with few inner nodes.

    From the highest degree down, each monomial is put beneath one of its divisors, which then is
    a monomial of the next lower degree, with or without a weight.
    """
    beneath: dict[Monomial, list[tuple[int, Monomial]]] = {}
    level: set[Monomial] = set()
    for degree in range(_HIGHEST_ORDER, 1, -1):
        level |= {monomial for monomial in rows if len(monomial) == degree}
        chosen = _common_divisors(level, rows)
        beneath |= chosen
        level = set(chosen)
    level |= {monomial for monomial in rows if len(monomial) == 1}

    def node(row: int, monomial: Monomial) -> Node:
        children = tuple(node(*child) for child in beneath.get(monomial, ()))
        return Node(row, rows.get(monomial), children)

    return tuple(node(monomial[0], monomial) for monomial in sorted(level))


def _common_divisors(
    monomials: set[Monomial], rows: dict[Monomial, int]
) -> dict[Monomial, list[tuple[int, Monomial]]]:
    """Return divisors, and per divisor what it is multiplied by, and by which the product is.

    The divisor of most monomials comes first, then that of most of the others, and so on.
    """
    multiples: dict[Monomial, dict[Monomial, int]] = {}
    for monomial in sorted(monomials):
        for divisor, row in _divisors(monomial).items():
            multiples.setdefault(divisor, {})[monomial] = row
    chosen: dict[Monomial, list[tuple[int, Monomial]]] = {}
    while multiples:
        best = max(multiples, key=lambda d: (len(multiples[d]), d in rows, d))
        chosen[best] = [(row, monomial) for monomial, row in multiples[best].items()]
        for monomial in list(multiples[best]):
            for divisor in _divisors(monomial):
                multiples[divisor].pop(monomial)
                if not multiples[divisor]:
                    del multiples[divisor]
    return chosen


def _divisors(monomial: Monomial) -> dict[Monomial, int]:
    """Return what remains without one of the factors, and which that is."""
    return {monomial[:k] + monomial[k + 1 :]: row for k, row in enumerate(monomial)}


class ContractionOperands(NamedTuple):
    """The messages of B atoms of one species, and the weights of all species.

    Attributes:
        blocks: [B, dims[i], channels] each.
        weights: [n_species, n_terms, channels].
        species: int32 scalar, that of all these atoms.
        n_atoms: int32 scalar, how many of the B rows hold atoms; the results of the others are
            meaningless.
    """

    blocks: tuple[jax.Array, ...]
    weights: jax.Array
    species: jax.Array
    n_atoms: jax.Array


def contract(
    program: ContractionProgram, messages: ContractionOperands, *, backend: str
) -> jax.Array:
    """Return the polynomials of B atoms, [B, n_components, channels].

    Args:
        backend: "xla", "cpu" or "gpu".
    """
    return implementation("contraction", backend).forward(program, messages)


def contract_backward(
    program: ContractionProgram,
    messages: ContractionOperands,
    adjoint: jax.Array,
    *,
    backend: str,
) -> tuple[jax.Array, ...]:
    """Return the gradient of sum(contract(...) * adjoint), [B, dims[i], channels] each."""
    return implementation("contraction", backend).backward(program, messages, adjoint)
