"""Products with packed matrices against plain ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import BACKENDS, quick, running

from lammps_mace.kernels import linear, pack_matrices

TOLERANCE = {np.float64: 1e-13, np.float32: 1e-5}  # of the largest value
CASES = {  # atoms, then per block its rows for an atom, n_in and n_out
    "as in a model": (13, (1, 3, 5), (128, 384, 64), (128, 128, 384)),
    "odd sizes": (7, (1, 2), (5, 33), (1, 47)),
    "one row": (1, (1,), (3,), (31,)),
    "no atoms": (0, (3,), (4,), (4,)),
}


def multiply(case, dtype, backend, n_species, chosen):
    atoms, rows, n_in, n_out = CASES[case]
    rng = np.random.default_rng(5)
    with jax.enable_x64(True), running(backend) as name:
        blocks = [
            rng.normal(size=(atoms, m, k)).astype(dtype) for m, k in zip(rows, n_in, strict=True)
        ]
        matrices = [
            rng.normal(size=(n_species, k, n)).astype(dtype)
            for k, n in zip(n_in, n_out, strict=True)
        ]
        tables = [jnp.asarray(pack_matrices(matrix, name)) for matrix in matrices]

        @quick
        def product(species):
            return linear(tuple(map(jnp.asarray, blocks)), tables, species, n_out, backend=name)

        found = [np.asarray(x) for x in product(jnp.int32(chosen))]
    exact = [
        np.einsum("ami,ij->amj", block.astype(np.float64), matrix[chosen % n_species])
        for block, matrix in zip(blocks, matrices, strict=True)
    ]
    return found, exact


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES)
def test_products_are_those_of_numpy(case, dtype, backend):
    for found, exact in zip(*multiply(case, dtype, backend, 1, 0), strict=True):
        assert found.shape == exact.shape
        assert found.dtype == dtype
        limit = TOLERANCE[dtype] * np.abs(exact).max(initial=1.0)
        assert np.abs(found - exact).max(initial=0.0) < limit


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_species_chooses_the_matrix(backend):
    [found], [exact] = multiply("one row", np.float64, backend, 3, 2)
    assert np.allclose(found, exact, rtol=1e-13)
    [other], _ = multiply("one row", np.float64, backend, 3, 1)
    assert not np.allclose(other, exact)


def test_one_matrix_serves_all_species():
    [found], [exact] = multiply("one row", np.float64, "sse2", 1, 2)
    assert np.allclose(found, exact, rtol=1e-13)


@pytest.mark.parametrize("chosen", [-1, 3])
def test_an_unknown_species_is_an_error(chosen):
    with pytest.raises(Exception, match=f"species {chosen} has no matrix"):
        multiply("one row", np.float64, "sse2", 3, chosen)
