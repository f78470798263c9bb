"""The e3j contraction against mlip's own, against a direct evaluation, and under rotations."""

import os
from functools import partial

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from e3j.utils.options import Layout
from mlip.models.mace.symmetric_contraction import SymmetricContraction as Oracle

from lammps_mace.models.blocks.power_basis import expansions, power_basis
from lammps_mace.models.mlip import contraction_e3j
from lammps_mace.models.mlip.contraction_e3j import (
    SymmetricContractionE3J,
    all_powers,
    coefficient_count,
    e3j_basis,
    e3j_polynomial,
)

# Relative to the largest value: float64 rounding of polynomials with up to 10^3 terms.
TOLERANCE = 1e-12
TOLERANCE_FLOAT32 = 1e-5


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def natural(l_max):
    return e3nn.Irreps.spherical_harmonics(l_max)


def both_parities(l_max):
    return e3nn.Irreps(e3nn.Irrep.iterator(l_max))


def make_contraction(source, target, correlation, num_species, num_channels, seed=0):
    """Return module, random variables, features [n, dim, C], species [n]."""
    rng = np.random.default_rng(seed)
    module = SymmetricContractionE3J(source, target, correlation, num_species, num_channels)
    features = jnp.asarray(rng.normal(size=(4, source.dim, num_channels)))
    species = jnp.asarray(rng.integers(0, num_species, 4), jnp.int32)
    shapes = jax.eval_shape(module.init, jax.random.PRNGKey(0), features, species)
    variables = jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape)), shapes)
    return module, variables, features, species


def make_oracle(module):
    return Oracle(
        source_irreps=str(module.source),
        correlation=module.correlation,
        keep_irrep_out=str(module.target),
        num_species=module.num_species,
        num_channels=module.num_channels,
        layout=Layout.TRAILING_CHANNELS,
    )


def apply_oracle(oracle, source, variables, features, species):
    """mlip's contraction in our layout."""
    array = e3nn.IrrepsArray(source, jnp.swapaxes(features, 1, 2))
    return jnp.swapaxes(oracle.apply(variables, array, species).array, 1, 2)


def value_and_gradient(function, x):
    """Return f(x) and the gradient of sum sin f(x); one trace, as mlip's set-up is slow."""

    def loss(x):
        value = function(x)
        return jnp.sum(jnp.sin(value)), value

    (_, value), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(x)
    return value, gradient


def assert_close(ours, reference, tolerance=TOLERANCE):
    scale = max(float(jnp.abs(reference).max()), 1e-30)
    assert float(jnp.abs(ours - reference).max()) <= tolerance * scale


def random_cases(count):
    # mlip takes 5 to 15 s to set up the higher powers of large irreps, hence the small ones.
    rng = np.random.default_rng(20251)
    for _ in range(count):
        correlation = int(rng.integers(1, 5))
        l_max = int(rng.integers(0, 1 + 4 // correlation))
        l_out = int(rng.integers(0, l_max + 1))
        pseudo = bool(rng.integers(0, 2)) and l_max * correlation <= 3
        source = both_parities(l_max) if pseudo else natural(l_max)
        yield source, natural(l_out), correlation, int(rng.integers(1, 5)), int(rng.integers(1, 4))


MORE_CASES = int(os.environ.get("LAMMPS_MACE_MORE_CASES", "0"))
FIXED = [
    (natural(3), natural(1), 3, 2, 3),
    (natural(4), natural(3), 2, 1, 1),
    (natural(1), natural(1), 4, 2, 1),
    (both_parities(2), natural(1), 2, 2, 2),
    (both_parities(1), both_parities(1), 3, 3, 2),
    (natural(0), natural(1), 3, 2, 2),  # 1o cannot be reached: a parameter without columns
]


@pytest.mark.parametrize("case", [*FIXED, *random_cases(2 + MORE_CASES)], ids=str)
def test_value_and_gradient_are_those_of_mlip(case):
    module, variables, features, species = make_contraction(*case)
    oracle = make_oracle(module)

    ours = value_and_gradient(lambda x: module.apply(variables, x, species), features)
    reference = value_and_gradient(
        lambda x: apply_oracle(oracle, case[0], variables, x, species), features
    )
    assert_close(ours[0], reference[0])
    assert_close(ours[1], reference[1])


@pytest.mark.parametrize("case", FIXED, ids=str)
def test_parameters_have_the_names_and_shapes_of_mlip(case):
    module, variables, features, species = make_contraction(*case)
    array = e3nn.IrrepsArray(case[0], jnp.swapaxes(features, 1, 2))
    init = jax.eval_shape(make_oracle(module).init, jax.random.PRNGKey(0), array, species)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, init)


def test_initial_weights_have_the_spread_of_mlip():
    module, _, features, species = make_contraction(natural(1), natural(0), 2, 4, 1024)
    params = module.init(jax.random.PRNGKey(1), features, species)["params"]
    for weight in jax.tree.leaves(params):
        assert float(weight.std()) * weight.shape[-1] ** 0.5 == pytest.approx(1.0, abs=0.05)


def test_float32_features_stay_float32():
    module, variables, features, species = make_contraction(natural(2), natural(1), 3, 2, 3)
    apply = jax.jit(module.apply)
    value = apply(variables, features.astype(jnp.float32), species)
    assert value.dtype == jnp.float32
    assert_close(value, apply(variables, features, species), TOLERANCE_FLOAT32)


def test_another_path_order_gives_another_answer():
    module, variables, features, species = make_contraction(natural(2), natural(1), 3, 1, 2)
    apply = jax.jit(module.apply)
    value = apply(variables, features, species)
    reversed_paths = jax.tree.map(lambda w: w[..., ::-1], variables)
    with pytest.raises(AssertionError):
        assert_close(apply(reversed_paths, features, species), value)


@pytest.mark.parametrize("inversion", [0, 1])
def test_equivariance(inversion):
    source, target = both_parities(1), both_parities(1)
    module, variables, features, species = make_contraction(source, target, 3, 2, 2)
    axis, angle = jnp.asarray([0.48, -0.6, 0.64]), jnp.asarray(1.1)

    @partial(jax.jit, static_argnums=0)
    def turn(irreps, x):
        return jnp.einsum("ij,njc->nic", irreps.D_from_axis_angle(axis, angle, inversion), x)

    apply = jax.jit(module.apply)
    turned = apply(variables, turn(source, features), species)
    value = apply(variables, features, species)
    assert_close(turned, turn(target, value))
    with pytest.raises(AssertionError):
        assert_close(turned, value)


def test_large_bases_are_contracted_without_a_polynomial(monkeypatch):
    case = (natural(2), natural(1), 3, 2, 2)
    module, variables, features, species = make_contraction(*case)
    value = jax.jit(module.apply)(variables, features, species)
    monkeypatch.setattr(contraction_e3j, "MOST_COEFFICIENTS", 0)
    monkeypatch.setattr(contraction_e3j, "e3j_polynomial", None)
    assert_close(jax.jit(module.apply)(variables, features, species), value)


def test_expansions_are_the_powers():
    basis = e3j_basis(natural(2), natural(1), 3)
    x = np.random.default_rng(0).normal(size=(1, basis.dims[0], 1))
    powers = []
    for dim, power in zip(basis.dims, expansions(basis), strict=True):
        monomials = power.value * x[0, :, 0][power.monomial].prod(axis=1)
        powers.append(np.bincount(power.row, monomials, minlength=dim))
        assert (np.diff(power.monomial, axis=1) >= 0).all()
    assert_close(jnp.concatenate(powers), all_powers(basis, jnp.asarray(x))[0, :, 0])


def test_basis_of_the_default_model_has_the_known_paths():
    basis = power_basis(((0, 1), (1, -1), (2, 1), (3, -1)), ((0, 1), (1, -1)), 3)
    assert basis.dims == (16, 192, 176)
    assert [paths.rows.shape for paths in basis.targets] == [(1 + 4 + 23, 1), (1 + 6 + 51, 3)]
    polynomial = e3j_polynomial(natural(3), natural(1), 3)
    held = sum(t.coefficients.size for terms in polynomial.components for t in terms)
    assert held <= coefficient_count(basis)
