"""Irreps as pairs (l, p), counted and named: what the shapes of weights depend on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Irrep = tuple[int, int]  # degree l, parity p = +1 or -1
Counts = Mapping[Irrep, int]  # irrep -> multiplicity, in the order of the representation

_TERM = re.compile(r" *(?:([0-9]{1,5}) *x *)?([0-9]{1,2})([eo]) *")
_LONGEST, _HIGHEST, _MOST = 100, 8, 4096


def parse_irreps(text: str) -> dict[Irrep, int]:
    """Return the multiplicities that ``text`` names, such as '8x0e + 4x1o', in sorted order.

    Raises:
        ValueError: it is no such text, has a degree above 8 or a multiplicity of 0 or above 4096.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"irreps of {len(text)} characters; at most {_LONGEST} are read")
    found: dict[Irrep, int] = {}
    for term in text.split("+"):
        match = _TERM.fullmatch(term)
        if match is None:
            raise ValueError(f"{text!r} is not a string of irreps such as '16x0e' or '8x0e + 4x1o'")
        irrep = int(match[2]), 1 if match[3] == "e" else -1
        count = found.get(irrep, 0) + int(match[1] or 1)
        if irrep[0] > _HIGHEST or not 1 <= count <= _MOST:
            raise ValueError(
                f"irreps {text!r}: degrees up to {_HIGHEST} and multiplicities of 1 to {_MOST} "
                "are possible"
            )
        found[irrep] = count
    return sorted_irreps(found)


def parse_irrep_list(text: str) -> tuple[Irrep, ...]:
    """Return the irreps that ``text`` names in its order, such as '0e+1o', each once.

    Raises:
        ValueError: it is no such text, has multiplicities, an irrep twice or a degree above 8.
    """
    parse_irreps(text)
    found = [_TERM.fullmatch(term) for term in text.split("+")]
    irreps = tuple((int(m[2]), 1 if m[3] == "e" else -1) for m in found if m)
    if len(set(irreps)) != len(irreps) or text != irrep_list(irreps):
        raise ValueError(f"{text!r} is not a list of different irreps such as '0e+1o'")
    return irreps


def irrep_list(irreps: Iterable[Irrep]) -> str:
    """Return the text that :func:`parse_irrep_list` reads."""
    return "+".join(map(name, irreps))


def harmonics(l_max: int) -> dict[Irrep, int]:
    """Return the irreps of the spherical harmonics, once each."""
    return {(degree, (-1) ** degree): 1 for degree in range(l_max + 1)}


def both_parities(l_max: int) -> dict[Irrep, int]:
    """Return all irreps up to a degree, once each, in the order of e3nn's iterator."""
    return {
        (degree, parity * (-1) ** degree): 1 for degree in range(l_max + 1) for parity in (1, -1)
    }


def sort_key(irrep: Irrep) -> tuple[int, bool]:
    """Sort by degree, and within one degree the natural parity (-1)^l first."""
    return irrep[0], irrep[1] != (-1) ** irrep[0]


def sorted_irreps(counts: Counts) -> dict[Irrep, int]:
    """Return the same multiplicities, sorted."""
    return {irrep: counts[irrep] for irrep in sorted(counts, key=sort_key)}


def products(a: Irrep, b: Irrep) -> list[Irrep]:
    """Return the irreps of the product of two irreps, lowest degree first."""
    return [(degree, a[1] * b[1]) for degree in range(abs(a[0] - b[0]), a[0] + b[0] + 1)]


def name(irrep: Irrep) -> str:
    """Return the name of an irrep, such as 1o."""
    return f"{irrep[0]}{'e' if irrep[1] == 1 else 'o'}"


def weight_names(source: Iterable[Irrep], target: Iterable[Irrep]) -> dict[Irrep, str]:
    """Return the names of the matrices of a linear map, as in checkpoints.

    When both hold the same irreps in the same order they are numbered in that order, else in the
    sorted order of all irreps that occur.
    """
    order, others = list(source), list(target)
    if order != others:
        order = sorted({*order, *others}, key=sort_key)
    return {irrep: f"weight{i}_{irrep[0]}_{irrep[1]}" for i, irrep in enumerate(order)}


def power_counts(source: Iterable[Irrep], order: int) -> dict[Irrep, int]:
    """Return how often each irrep occurs in source x ... x source, ``order`` factors."""
    factors = list(source)
    counts = dict.fromkeys(factors, 1)
    for _ in range(order - 1):
        longer: dict[Irrep, int] = {}
        for irrep, count in counts.items():
            for factor in factors:
                for out in products(irrep, factor):
                    longer[out] = longer.get(out, 0) + count
        counts = longer
    return counts


def symmetric_power_counts(source: Iterable[Irrep], order: int) -> dict[Irrep, int]:
    """Return how often each irrep occurs in the symmetric part of that product.

    Its monomials x_1 ... x_order have a weight m, the sum of those of their factors, and a parity;
    an irrep of degree l occurs once for each monomial of weight l beyond those of weight l + 1.
    """
    weights = [(m, p) for l, p in source for m in range(-l, l + 1)]  # noqa: E741
    # monomials[n][m, p]: how many of n of the factors seen so far.
    monomials: list[dict[tuple[int, int], int]] = [{(0, 1): 1}, *({} for _ in range(order))]
    for m, p in weights:
        for n in range(1, order + 1):  # ascending: a factor may be taken several times
            for (total, parity), count in monomials[n - 1].items():
                key = total + m, parity * p
                monomials[n][key] = monomials[n].get(key, 0) + count
    last = monomials[order]
    counts = {(m, p): count - last.get((m + 1, p), 0) for (m, p), count in last.items() if m >= 0}
    return {irrep: count for irrep, count in counts.items() if count}
