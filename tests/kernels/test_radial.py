"""Radial networks against JAX in float64."""

import math
from functools import cache
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import BACKENDS, CUTOFF, PLAIN, running

from lammps_mace.kernels import BesselBasis, RadialInputs, pack_layers, radial_network
from lammps_mace.models.mlip.config import RadialEnvelope
from lammps_mace.models.mlip.embedding import ENVELOPE_POWER, radial_basis

TOLERANCE = {np.float32: 3e-6, np.float64: 1e-14}  # of the largest value or slope
ROWS = 75
WIDTHS = {"as in a model": (8, 64, 64), "odd widths": (5, 33, 47, 3), "one layer": (1, 31)}


def draw(name, dtype):
    rng = np.random.default_rng(len(name))
    widths = WIDTHS[name]
    matrices = [
        (2 * rng.normal(size=shape) / np.sqrt(shape[0])).astype(dtype) for shape in pairwise(widths)
    ]
    vectors = rng.normal(size=(ROWS, 3))
    vectors *= (rng.uniform(0.05, 1.1, ROWS) * CUTOFF / np.linalg.norm(vectors, axis=1))[:, None]
    vectors[3] = 0.0
    return vectors.astype(dtype), matrices, rng.normal(size=(ROWS, 2, widths[0])).astype(dtype)


@cache
def exact(name, dtype, known):
    """Values and slopes [ROWS, 2, functions]: the model's own basis, derivatives by autodiff."""
    with jax.enable_x64(True):
        vectors, matrices, inputs = (
            jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), x) for x in draw(name, dtype)
        )

        def network(x):
            for matrix in matrices:
                x = (x @ matrix) / (1.0 + jnp.exp(-(x @ matrix)))
            return x

        if not known:
            found = jax.jvp(network, (inputs[:, 0],), (inputs[:, 1],))
        else:
            r = jnp.linalg.norm(vectors, axis=1).at[3].set(CUTOFF / 2)
            count, kind = WIDTHS[name][0], RadialEnvelope.POLYNOMIAL
            found = jax.jvp(
                lambda r: network(radial_basis(r, CUTOFF, count, kind)), (r,), (jnp.ones(ROWS),)
            )
        return np.stack(found, axis=1)


def evaluated(name, dtype, known, slopes, backend, n_rows=ROWS):
    vectors, matrices, inputs = draw(name, dtype)
    with jax.enable_x64(True), running(backend) as name_of_backend:
        given = jnp.asarray(inputs[:, : 1 + slopes])
        if known:
            roots = jnp.asarray(np.pi / CUTOFF * np.arange(1, WIDTHS[name][0] + 1), dtype)
            basis = BesselBasis(CUTOFF, math.sqrt(2.0 / CUTOFF), ENVELOPE_POWER)
            given = RadialInputs(jnp.asarray(vectors), roots, basis)
        layers = [jnp.asarray(layer) for layer in pack_layers(matrices)]
        return np.asarray(
            radial_network(
                given, layers, (1 + slopes, WIDTHS[name][-1]), jnp.int32(n_rows),
                backend=name_of_backend,
            )
        )  # fmt: skip


def errors(found, expected):
    largest = np.abs(expected).max(axis=(0, 2))
    return (np.abs(found - expected).max(axis=(0, 2)) / largest).max()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("known", [True, False], ids=["basis", "inputs"])
@pytest.mark.parametrize("name", WIDTHS)
def test_values_and_slopes_are_those_of_the_network(name, known, dtype, backend):
    expected = exact(name, dtype, known)
    found = evaluated(name, dtype, known, True, backend)
    assert found.dtype == dtype
    assert errors(found, expected) < TOLERANCE[dtype]
    values = evaluated(name, dtype, known, False, backend)
    assert errors(values, expected[:, :1]) < TOLERANCE[dtype]
    # Controls: slopes of neighbouring distances, and digits that the other precision lacks.
    assert errors(np.roll(found, 1, axis=0), expected) > 100 * TOLERANCE[dtype]
    assert dtype == np.float32 or errors(found.astype(np.float32), expected) > 1e-9


@pytest.mark.parametrize("backend", BACKENDS[2:])
def test_rows_that_are_wanted_do_not_depend_on_the_others(backend):
    found = evaluated("odd widths", np.float64, True, True, backend, n_rows=21)
    full = evaluated("odd widths", np.float64, True, True, backend)
    np.testing.assert_array_equal(found[:21], full[:21])


@pytest.mark.parametrize("backend", BACKENDS[2:])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_activations_far_from_zero(dtype, backend):
    x = np.array([-2e4, -800.0, -90.0, -1.0, 0.0, 1.0, 90.0, 800.0, 2e4, np.nan], dtype)
    layer = [jnp.asarray(layer, dtype) for layer in pack_layers([np.ones((1, 1))])]
    with jax.enable_x64(True), running(backend) as name:
        inputs = jnp.asarray(np.stack([x, np.ones_like(x)], axis=1)[:, :, None])
        found = radial_network(inputs, layer, (2, 1), jnp.int32(len(x)), backend=name)
        silu = lambda x: jax.nn.silu(x.astype(jnp.float64))  # noqa: E731
        expected = jax.jvp(silu, (inputs[:, 0, 0],), (inputs[:, 1, 0],))
    for one, other in zip(np.asarray(found)[:, :, 0].T, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=4 * np.finfo(dtype).eps, atol=1e-34)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_rows": ROWS + 1}, "76 rows of 75 are filled"),
        ({"n_rows": -1}, "-1 rows of 75 are filled"),
    ],
)
def test_more_rows_than_there_are_is_an_error(changes, message):
    with pytest.raises(Exception, match=message):
        evaluated("one layer", np.float64, True, True, PLAIN, **changes)


@pytest.mark.parametrize(
    ("inputs", "widths", "message"),
    [
        ((4, 2, 3), [(2, 5)], "a matrix does not fit its inputs"),
        ((4, 2, 3), [(3, 5), (40, 5)], "a matrix does not fit its inputs"),
        ((4, 2, 3), [(3, 5)], "the functions do not fit into the result"),
        ((4, 1, 3), [(3, 64)], "the functions do not fit into the result"),
        ((4, 2, 3), [], "the functions do not fit into the result"),
    ],
)
def test_what_does_not_fit_is_an_error(inputs, widths, message):
    layers = [
        jnp.asarray(layer) for layer in pack_layers([np.zeros(s, np.float32) for s in widths])
    ]
    with pytest.raises(Exception, match=message):
        jax.block_until_ready(
            radial_network(
                jnp.zeros(inputs, jnp.float32), layers, (2, 64), jnp.int32(4), backend="cpu"
            )
        )
