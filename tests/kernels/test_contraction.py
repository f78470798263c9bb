"""The contraction against the polynomials of the model and their derivatives by autodiff."""

from itertools import chain

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import BACKENDS, PLAIN, running

from lammps_mace.kernels import (
    ContractionOperands,
    ContractionProgram,
    contract,
    contract_backward,
)
from lammps_mace.models.blocks.polynomial import from_tensors

TOLERANCE = {np.float64: 1e-10, np.float32: 1e-5}  # of the largest value
CASES = {  # dims, components, monomials per component and order, atoms, channels
    "one atom": ((1, 3), 2, (2, 4, 5, 0), 1, 16),
    "three orders": ((1, 3, 5), 4, (3, 10, 40, 0), 7, 33),
    "four orders": ((1, 3), 3, (4, 8, 12, 20), 9, 20),
    "only the highest": ((3,), 1, (0, 0, 0, 6), 4, 3),
    "linear": ((1,), 1, (1, 0, 0, 0), 5, 1),
}


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def draw(rng, dim, counts):
    """Distinct sorted monomials of each order, in random order."""
    found = {
        tuple(sorted(int(i) for i in rng.integers(0, dim, order)))
        for order, count in enumerate(counts, 1)
        for _ in range(count)
    }
    ordered = sorted(found)
    return tuple(ordered[i] for i in rng.permutation(len(ordered)))


def as_polynomial(program, weights):
    """The same map from dense tensors with one weight per monomial."""
    dim, start, tensors, named = sum(program.dims), 0, [], {}
    for c, component in enumerate(program.components):
        tensors.append({})
        for t, monomial in enumerate(component):
            key = f"{c} {t}"
            tensor = np.zeros([dim] * len(monomial) + [1])
            tensor[monomial] = 1.0
            tensors[-1][key] = tensor
            named[key] = weights[:, start + t, None]
        start += len(component)
    return from_tensors(dim, tensors), named


def results(program, blocks, weights, adjoint, n_atoms, backend, species=0):
    """Return the gradients of all blocks and the values."""
    with running(backend) as name:

        @jax.jit
        def both(messages, adjoint):
            y = contract(program, messages, backend=name)
            return *contract_backward(program, messages, adjoint, backend=name), y

        filled = jnp.int32(species), jnp.int32(n_atoms)
        messages = ContractionOperands(tuple(blocks), weights, *filled)
        return [np.asarray(x) for x in both(messages, adjoint)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_the_model(case, dtype, backend):
    dims, n_components, counts, atoms, channels = CASES[case]
    rng = np.random.default_rng(3)
    program = ContractionProgram(
        dims, tuple(draw(rng, sum(dims), counts) for _ in range(n_components))
    )
    features = rng.normal(size=(atoms, sum(dims), channels))
    weights = rng.normal(size=(3, program.n_terms, channels))
    adjoint = rng.normal(size=(atoms, n_components, channels))

    def plain(x):
        polynomial, named = as_polynomial(program, jnp.asarray(weights))
        y = polynomial(x, named, jnp.ones(atoms, jnp.int32))
        return jnp.sum(y * adjoint), y

    cuts = np.cumsum(dims)[:-1]
    blocks = tuple(jnp.asarray(b, dtype) for b in np.split(features, cuts, axis=1))
    w, dy = jnp.asarray(weights, dtype), jnp.asarray(adjoint, dtype)
    *gradient, y = results(program, blocks, w, dy, atoms, backend, species=1)
    expected_gradient, expected = jax.jit(jax.grad(plain, has_aux=True))(jnp.asarray(features))
    assert y.dtype == dtype
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(y, expected, rtol=0.0, atol=TOLERANCE[dtype] * scale)
    scale = float(np.abs(expected_gradient).max())
    np.testing.assert_allclose(
        np.concatenate(gradient, axis=1), expected_gradient, rtol=0.0, atol=TOLERANCE[dtype] * scale
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("atoms", [0, 1, 6, 7, 8, 17])
def test_rows_without_atoms_change_nothing(atoms, backend):
    rng = np.random.default_rng(8)
    program = ContractionProgram((1, 3), (draw(rng, 4, (2, 4, 5)), draw(rng, 4, (1, 2, 3))))
    shapes = (1, 20), (3, 20), (2, 20)  # two blocks, adjoint
    filled = [rng.normal(size=(atoms, *shape)) for shape in shapes]
    weights = rng.normal(size=(1, program.n_terms, 20))
    more = [np.concatenate([x, np.full((5, *x.shape[1:]), np.nan)]) for x in filled]
    alone = results(program, filled[:2], weights, filled[2], atoms, backend)
    found = results(program, more[:2], weights, more[2], atoms, backend)
    for a, b in zip(alone, found, strict=True):
        np.testing.assert_allclose(b[:atoms], a, rtol=1e-12, atol=1e-12)
        assert backend in ("xla", "gpu") or not b[atoms:].any()
    if atoms and backend not in ("xla", "gpu"):  # the number does decide
        fewer = results(program, more[:2], weights, more[2], atoms - 1, backend)
        assert not any(x[atoms - 1].any() for x in fewer)


def unfolded(nodes, above=()):
    """The monomials of a tree, with the rows of their weights; and how many inner nodes it has."""
    found, inner = [], 0
    for node in nodes:
        here = (*above, node.row)
        found += [(tuple(sorted(here)), node.weight)] if node.weight is not None else []
        more, below = unfolded(node.children, here)
        found, inner = found + more, inner + below + bool(node.children)
    return found, inner


@pytest.mark.parametrize("counts", [(3, 20, 90), (16, 0, 0, 200), (0, 0, 60, 300), (0, 1)])
def test_trees_hold_each_monomial_once_in_few_nodes(counts):
    components = tuple(draw(np.random.default_rng(seed), 16, counts) for seed in range(2))
    program = ContractionProgram((16,), components)
    found, inner = zip(*map(unfolded, program.trees), strict=True)
    expected = [(monomial, row) for row, (_, monomial) in enumerate(program.terms)]
    assert sorted(chain.from_iterable(found)) == sorted(expected)
    beginnings = {(c, m[:k]) for c, of_one in enumerate(components) for m in of_one
                  for k in range(1, len(m))}  # fmt: skip
    assert 0 < sum(inner) <= len(beginnings)
    if sum(counts) > 100:
        assert sum(inner) < 0.8 * len(beginnings)


@pytest.mark.parametrize("rows", [60, 97, 98])
def test_many_rows(rows):
    """Whose numbers fill the words that the kernels for GPUs read, or do not fit there any more."""
    rng = np.random.default_rng(rows)
    last = rows - 1
    monomials = ((0, last), (last - 1, last, last), (1, 2, last, last), (last,))
    program = ContractionProgram((1, rows - 1), ((),) * 29 + (monomials,))
    blocks = [rng.normal(size=(2, dim, 3)) for dim in program.dims]
    weights, adjoint = rng.normal(size=(1, program.n_terms, 3)), rng.normal(size=(2, 30, 3))
    found = results(program, blocks, weights, adjoint, 2, "gpu")
    for a, b in zip(found, results(program, blocks, weights, adjoint, 2, "xla"), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("atoms", [-1, 4])
def test_more_atoms_than_rows_are_an_error(atoms):
    program = ContractionProgram((1, 1), (((0,), (1,)),))
    blocks, weights = [np.zeros((3, 1, 2))] * 2, np.zeros((1, 2, 2))
    with pytest.raises(Exception, match=f"{atoms} atoms in 3 rows"):
        results(program, blocks, weights, np.zeros((3, 1, 2)), atoms, PLAIN)


def test_blocks_of_different_numbers_of_atoms_are_an_error():
    program = ContractionProgram((1, 1), (((0,), (1,)),))
    blocks, weights = (jnp.zeros((3, 1, 2)), jnp.zeros((4, 1, 2))), jnp.zeros((1, 2, 2))
    messages = ContractionOperands(blocks, weights, jnp.int32(0), jnp.int32(3))
    with pytest.raises(Exception, match="the features have different numbers of atoms"):
        jax.block_until_ready(contract(program, messages, backend="cpu"))


def test_refusals():
    with pytest.raises(ValueError, match=r"monomial \(1, 0\): give 1 to 4 rows in ascending order"):
        ContractionProgram((2,), (((1, 0),),))
    with pytest.raises(ValueError, match=r"monomial \(0, 2\): there are 2 rows"):
        ContractionProgram((2,), (((0, 2),),))
    with pytest.raises(ValueError, match="names a monomial twice"):
        ContractionProgram((2,), (((0, 1), (0, 1)),))
