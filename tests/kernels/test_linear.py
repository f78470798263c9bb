"""Products with packed matrices, and their gradients, against plain ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import BACKENDS, PLAIN, running

from lammps_mace.kernels import Matrices, linear, pack_matrices

TOLERANCE = {np.float64: 1e-13, np.float32: 1e-5}  # of the largest value
CASES = {  # atoms, then per block its rows for an atom, n_in and n_out
    "as in a model": (13, (1, 3, 5), (128, 384, 64), (128, 128, 384)),
    "odd sizes": (7, (1, 2), (5, 33), (1, 47)),
    "one row": (1, (1,), (3,), (31,)),
    "no atoms": (0, (3,), (4,), (4,)),
}


def multiply(case, dtype, backend, n_species, chosen):
    """Return products and the gradient of a weighted sum of them, and both from NumPy."""
    atoms, rows, n_in, n_out = CASES[case]
    rng = np.random.default_rng(5)

    def draw(*shape):
        return rng.normal(size=shape).astype(dtype)

    blocks = [draw(atoms, m, k) for m, k in zip(rows, n_in, strict=True)]
    matrices = [draw(n_species, k, n) for k, n in zip(n_in, n_out, strict=True)]
    adjoints = [draw(atoms, m, n) for m, n in zip(rows, n_out, strict=True)]
    with jax.enable_x64(True), running(backend) as name:
        n_atoms = jnp.int32(atoms)

        @jax.jit
        def product(species, blocks):
            packed = [
                Matrices(*map(jnp.asarray, pack_matrices(matrix, name))) for matrix in matrices
            ]
            found, pull = jax.vjp(
                lambda x: linear(x, packed, species, n_atoms, backend=name), blocks
            )
            return [*found, *pull(tuple(map(jnp.asarray, adjoints)))[0]]

        found = [np.asarray(x) for x in product(jnp.int32(chosen), blocks)]
    used = [matrix[chosen % n_species].astype(np.float64) for matrix in matrices]
    exact = [b @ matrix for b, matrix in zip(blocks, used, strict=True)]
    return found, exact + [a @ matrix.T for a, matrix in zip(adjoints, used, strict=True)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES)
def test_products_and_gradients_are_those_of_numpy(case, dtype, backend):
    for found, exact in zip(*multiply(case, dtype, backend, 1, 0), strict=True):
        assert found.shape == exact.shape
        assert found.dtype == dtype
        limit = TOLERANCE[dtype] * np.abs(exact).max(initial=1.0)
        assert np.abs(found - exact).max(initial=0.0) < limit


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_species_chooses_the_matrix(backend):
    [found, _], [exact, _] = multiply("one row", np.float64, backend, 3, 2)
    assert np.allclose(found, exact, rtol=1e-13)
    [other, _], _ = multiply("one row", np.float64, backend, 3, 1)
    assert not np.allclose(other, exact)


def test_one_matrix_serves_all_species():
    [found, _], [exact, _] = multiply("one row", np.float64, PLAIN, 1, 2)
    assert np.allclose(found, exact, rtol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("atoms", [0, 1, 5, 9])
def test_rows_without_atoms_change_nothing(atoms, backend):
    rng = np.random.default_rng(6)
    rows, matrix = rng.normal(size=(9, 3, 33)), rng.normal(size=(1, 33, 47))
    expected = rows[:atoms] @ matrix[0]
    rows[atoms:] = np.nan
    with jax.enable_x64(True), running(backend) as name:
        packed = Matrices(*map(jnp.asarray, pack_matrices(matrix, name)))

        def product(block):
            return linear((block,), [packed], jnp.int32(0), jnp.int32(atoms), backend=name)[0]

        found, pull = jax.vjp(product, jnp.asarray(rows))
        [back] = pull(found)
    np.testing.assert_allclose(found[:atoms], expected, rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(back[:atoms], expected @ matrix[0].T, rtol=0.0, atol=1e-11)
    if backend not in ("xla", "gpu"):
        assert not np.any(found[atoms:])
        assert not np.any(back[atoms:])


@pytest.mark.parametrize("atoms", [-1, 4])
def test_more_atoms_than_rows_are_an_error(atoms):
    with jax.enable_x64(True), running(PLAIN):
        packed = Matrices(*map(jnp.asarray, pack_matrices(np.zeros((1, 2, 2)), "cpu")))
        block, count = jnp.zeros((3, 1, 2)), jnp.int32(atoms)
        with pytest.raises(Exception, match=f"{atoms} atoms in 3 rows"):
            jax.block_until_ready(linear((block,), [packed], jnp.int32(0), count, backend="cpu"))


@pytest.mark.parametrize("chosen", [-1, 3])
def test_an_unknown_species_is_an_error(chosen):
    with pytest.raises(Exception, match=f"species {chosen} has no matrix"):
        multiply("one row", np.float64, PLAIN, 3, chosen)


def test_features_that_do_not_fit_the_matrix_are_an_error():
    with jax.enable_x64(True), running(PLAIN):
        packed = Matrices(*map(jnp.asarray, pack_matrices(np.zeros((1, 2, 2)), "cpu")))
        block = jnp.zeros((3, 1, 3))
        with pytest.raises(Exception, match="a matrix does not fit its features"):
            jax.block_until_ready(
                linear((block,), [packed], jnp.int32(0), jnp.int32(3), backend="cpu")
            )
