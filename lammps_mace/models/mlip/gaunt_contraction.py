"""The Gaunt contraction as polynomials: its factors are multiplied one by one.

Each factor is a function on the sphere. The coefficients of a product of two of them are a
polynomial, made with the means of products of three harmonics, most of which are zero. Of every
product only those degrees are kept that the factors left and the target can use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import e3nn_jax as e3nn
import numpy as np

from lammps_mace.models.blocks.linear import weight_names
from lammps_mace.models.blocks.polynomial import Monomial, from_monomials
from lammps_mace.models.blocks.quadrature import means_of_three
from lammps_mace.models.description import Contraction, LinearMap
from lammps_mace.models.mlip.gaunt import bias_name, mix_name

# Beyond that the tables are large, and multiplying point by point is no slower.
MOST_COEFFICIENTS = 100_000


@dataclass(frozen=True, eq=False)
class _Function:
    """A function on the sphere for each channel, the sum of harmonics up to a degree.

    Attributes:
        variables: the variable that is the coefficient of each harmonic; none: a constant.
        constant: what is added, float64 [channels].
    """

    variables: np.ndarray
    constant: np.ndarray

    @property
    def degree(self) -> int:
        """Return the highest degree, -1 for a constant."""
        return round(len(self.variables) ** 0.5) - 1


def gaunt_factors(
    params: Mapping[str, Any], messages: e3nn.Irreps, correlation: int, channels: int
) -> LinearMap:
    """Return the map from the messages to the factors, a copy for each."""
    found = {}
    for i, (_, irrep) in enumerate(messages):
        name = mix_name(i, irrep, channels)
        maps = [np.asarray(params[f"linear_in_{k}"][name], np.float64) for k in range(correlation)]
        found[str(irrep)] = np.concatenate(maps, axis=1)[None] / np.sqrt(channels)
    return found


def gaunt_contraction(
    params: Mapping[str, Any], messages: e3nn.Irreps, target: e3nn.Irreps, correlation: int
) -> Contraction:
    """Return the product of the factors as a contraction of ``correlation`` copies.

    Args:
        params: of the contraction.
        messages, target: irreps of all harmonics up to a degree.
    """
    dim, l_out = messages.dim * correlation, max(target.ls)
    biases = [np.asarray(params[bias_name(k)], np.float64) for k in range(correlation)]
    biases[0] = np.zeros_like(biases[0])  # not used
    factors = [_Function(np.arange(k, dim, correlation), bias) for k, bias in enumerate(biases)]
    one = _Function(np.arange(0), np.ones_like(biases[0]))
    inner, product = None, one if correlation == 1 else factors.pop()
    for left in range(len(factors) - 1, 0, -1):
        factor = factors[left]
        degree = min(factor.degree + product.degree, left * factors[0].degree + l_out)
        inner = _product(dim, factor, product, [np.ones((1, 1, 1))] * (degree + 1), inner)
        results = np.arange((degree + 1) ** 2)
        product = _Function(dim + results, factor.constant * product.constant)
    scales = _species_scales(params["linear_out"], target)
    return _product(dim, factors[0], product, scales, inner)


def _species_scales(params: Mapping[str, Any], target: e3nn.Irreps) -> list[np.ndarray]:
    """Return what multiplies the results, per degree [n_species, 1, channels]."""
    ones = dict.fromkeys([irrep for _, irrep in target], 1)
    arrays = (np.asarray(params[name], np.float64) for name in weight_names(ones, ones).values())
    # The network has means of the product times a harmonic: coefficients divided by 2l + 1.
    return [array[:, None, :, 0, 0] / irrep.dim for irrep, array in zip(ones, arrays, strict=True)]


def _product(
    dim: int,
    one: _Function,
    two: _Function,
    scales: list[np.ndarray],
    inner: Contraction | None,
) -> Contraction:
    """Return the coefficients of the product of two functions, but for the product of constants.

    Args:
        dim: number of variables that are messages.
        scales: what multiplies the coefficients, per degree [n_species or 1, 1, channels].
        inner: has variables of the second function.
    """
    degrees = [degree for degree in range(len(scales)) for _ in range(2 * degree + 1)]
    components: list[dict[str, dict[Monomial, np.ndarray]]] = [{} for _ in degrees]

    def add(k: int, name: str, value: float, *variables: int) -> None:
        monomial = tuple(sorted(map(int, variables)))
        components[k].setdefault(f"{name} {degrees[k]}", {})[monomial] = np.array([value])

    table = means_of_three(one.degree, max(two.degree, 0), len(scales) - 1)
    for i, j, k in np.argwhere(table[:, : len(two.variables)]):
        value = table[i, j, k] * (2 * degrees[k] + 1)
        add(k, "products", value, one.variables[i], two.variables[j])
    constants = {"products": np.ones_like(one.constant)}
    for name, function, constant in (("first", one, two.constant), ("second", two, one.constant)):
        constants[name] = constant
        for k in range(min(len(function.variables), len(degrees)) if constant.any() else 0):
            add(k, name, 1.0, function.variables[k])
    weights = {
        f"{name} {degree}": scale * constant
        for name, constant in constants.items()
        for degree, scale in enumerate(scales)
    }
    n_variables = dim + (0 if inner is None else len(inner.polynomial.components))
    return Contraction(from_monomials(n_variables, components), weights, inner)


def gaunt_contraction_fits(l_max: int, l_out: int, correlation: int) -> bool:
    """Return whether the contraction is small enough to be written as polynomials."""
    degree, total = l_max, 0
    for left in reversed(range(correlation - 1)):
        product = min(l_max + degree, left * l_max + l_out)
        total += _most_products(l_max, degree, product)
        degree = product
    return total <= MOST_COEFFICIENTS


def _most_products(first: int, second: int, target: int) -> int:
    """Return an upper bound of the elements of :func:`means_of_three` that are not zero."""
    # Of two harmonics with m and n the product has those with m + n and m - n.
    return sum(
        2 * (2 * a + 1) * (2 * b + 1)
        for a in range(first + 1)
        for b in range(second + 1)
        for _ in range(abs(a - b), min(a + b, target) + 1, 2)
    )
