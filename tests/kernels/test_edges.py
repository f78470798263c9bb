"""The edge operations against the layers of the model and their derivatives by autodiff."""

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import BACKENDS, CUTOFF, edge_case, plain_sums, running

from lammps_mace.kernels import (
    Grid,
    edges_backward,
    edges_forward,
    evaluate_spline,
    spline_degree,
)

TOLERANCE = {np.float64: 1e-10, np.float32: 1e-5}  # of the largest value
KINDS = [
    ("splines", np.float64),
    ("splines", np.float32),
    ("mapped", np.float64),
    ("bare", np.float32),
]
RAGGED = (3, 0, 20, -1, 1, 70, 0)
CASES = {
    "first layer": (0, 3, 16, RAGGED),
    "second layer": (1, 3, 33, RAGGED),
    "one channel": (1, 2, 1, RAGGED),
    "three channels": (2, 2, 3, RAGGED),
    "highest degrees": (3, 4, 20, (5, 2)),
    "many neighbours": (1, 1, 16, (300,)),
    "no neighbours": (1, 1, 16, (0, 0)),
    "scalars": (0, 0, 5, RAGGED),
    "three splines": (1, 2, 20, RAGGED, 3),
}


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def close(found, expected, tolerance):
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=tolerance * scale)


def expected(case):
    """Results and gradients in float64 by autodiff of the model's layers."""
    first = int(case.starts[0])
    chosen = np.arange(first, first + case.chunk_edges).clip(max=len(case.vectors) - 1)
    as64 = lambda a: jnp.asarray(a, jnp.float64)  # noqa: E731
    adjoints = [as64(a) for a in case.adjoints]

    def weights(vectors):
        found = case.weights
        value, slope = table_weights(case, chosen) if found is None else found.swapaxes(0, 1)
        return linear_weights(case, chosen, vectors[chosen], as64(value), as64(slope))

    def loss(vectors, sent):
        sums = plain_sums(case, vectors, sent, weights(vectors))
        return sum(jnp.sum(a * b) for a, b in zip(sums, adjoints, strict=True)), sums

    arguments = as64(case.vectors), as64(case.sent)
    gradients, sums = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(*arguments)
    return sums, gradients


def linear_weights(case, chosen, vectors, value, slope):
    """Radial weights [chunk, paths, channels], linear around the given vectors."""
    r0 = np.linalg.norm(np.asarray(case.vectors, np.float64)[chosen], axis=1)
    squared = jnp.sum(vectors**2, axis=1)
    r = jnp.sqrt(jnp.where(squared > 0.0, squared, 1.0))
    return value + slope * (r - r0)[:, None, None]


def table_weights(case, chosen):
    """Values and slopes of the radial weights [chunk, paths, channels]: NumPy's splines."""
    blocks, rows, paths, width = case.radial.table.shape
    flat = np.asarray(case.radial.table, np.float64).transpose(1, 2, 0, 3)
    flat = flat.reshape(rows, paths, blocks * width)[:, :, : case.program.channels]
    r0 = np.linalg.norm(np.asarray(case.vectors, np.float64)[chosen], axis=1)
    splines = flat.reshape(case.program.n_splines, -1, paths * case.program.channels)
    degree = spline_degree(case.radial.table.dtype)
    grid = Grid(CUTOFF, splines.shape[1] - degree, case.program.knot_scale, degree)
    found = [evaluate_spline(spline, grid, np.minimum(r0, CUTOFF)) for spline in splines]
    first = case.radial.first_rows
    which = np.zeros(len(r0), int) if first is None else np.asarray(first) // splines.shape[1]
    both = np.stack(found, axis=1)[:, which, np.arange(len(r0))]
    return both.reshape(2, -1, paths, case.program.channels)


@cache
def case_and_expected(name, kind, dtype):
    *shape, counts, splines = CASES[name] if len(CASES[name]) == 5 else (*CASES[name], 1)
    case = edge_case(*shape, counts, dtype=dtype, kind=kind, splines=splines)
    return case, expected(case)


@pytest.mark.parametrize(("kind", "dtype"), KINDS, ids=str)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_sums_and_gradients_are_those_of_the_model(backend, name, kind, dtype):
    # The kernels for GPUs are not made degree by degree.
    if name == "highest degrees" and (dtype == np.float32 or backend == "gpu"):
        pytest.skip("takes long to compile and shows nothing new")
    case, right = case_and_expected(name, kind, dtype)
    with running(backend) as backend:
        found = jax.block_until_ready(run(case, backend))
    assert [a.dtype for a in found[0]] == [dtype] * len(found[0])
    agree(case, found, right, TOLERANCE[dtype])


def agree(case, found, right, tolerance):
    """The sums, and what is added to the gradient and to the adjoint of the senders."""
    (sums, (gradient, sent_adjoint)), (right_sums, (dv, dsent)) = found, right
    for one, other in zip(sums, right_sums, strict=True):
        close(one, other, tolerance)
    close(gradient - case.gradient, dv, tolerance)
    close(sent_adjoint - case.sent_adjoint, dsent, tolerance)


def run(case, backend):
    @jax.jit
    def both(edges):
        found = edges_forward(case.program, edges, backend=backend)
        return found, edges_backward(case.program, edges, *case.adjoint_arguments, backend=backend)

    return both(case.operands)


@pytest.mark.parametrize("kind", ["mapped", "bare"])
def test_the_gradient_needs_the_slopes_of_the_functions(kind):
    """A control of the test above: wrong slopes are seen there."""
    case, (_, (dv, _)) = case_and_expected("scalars", kind, np.float64)
    wrong = replace(case, radial=case.radial._replace(values=case.radial.values.at[:, 1].mul(1.01)))
    for backend in ("xla", "cpu"):
        gradient, _ = run(wrong, backend)[1]
        with pytest.raises(AssertionError):
            close(gradient - case.gradient, dv, 100 * TOLERANCE[np.float64])


WIDE = (1, 3, 144, RAGGED)  # the splines of an edge outgrow a first cache: edges are sorted


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("backend", BACKENDS[2:])
def test_sorted_edges_give_the_same(backend, dtype):
    case = edge_case(*WIDE, dtype=dtype)
    right = expected(case)
    with running(backend):
        found = run(case, "cpu")
        spoiled = replace(case, senders=jnp.roll(case.senders, 1))
        _, (wrong, _) = run(spoiled, "cpu")
    agree(case, found, right, TOLERANCE[dtype])
    with pytest.raises(AssertionError):
        close(wrong - case.gradient, right[1][0], 100 * TOLERANCE[dtype])


@pytest.mark.parametrize(("channels", "is_sorted"), [(144, True), (16, False)])
@pytest.mark.parametrize("backend", BACKENDS[2:])
def test_the_order_of_edges_matters_only_where_they_are_not_sorted(backend, channels, is_sorted):
    n = 40
    case = edge_case(1, 3, channels, (n,), dtype=np.float64, before=0, after=0)
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(n, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    vectors = directions * CUTOFF * np.sqrt((np.arange(n) + 0.5) / n)[:, None]  # a shell each
    order = rng.permutation(n)
    results = []
    with running(backend):
        for rows in (np.arange(n), order):
            senders = case.senders[rows]
            one = replace(case, vectors=jnp.asarray(vectors[rows]), senders=senders)
            results.append(run(one, "cpu"))
    first, again = results
    same = [np.array_equal(a, b) for a, b in zip(first[0], again[0], strict=True)]
    assert all(same) if is_sorted else not any(same)
    close(again[1][0] - case.gradient, (first[1][0] - case.gradient)[order], 1e-13)


def of_one_kind(case, results, which):
    """The channels of one kind of senders, [atoms, dim, paths * channels] each."""
    kinds, channels = case.program.kinds, case.program.channels
    split = (one.reshape(*one.shape[:2], -1, kinds, channels)[:, :, :, which] for one in results)
    return [one.reshape(*one.shape[:2], -1) for one in split]


@pytest.mark.parametrize(("kind", "dtype"), [KINDS[0], KINDS[1], KINDS[3]], ids=str)
@pytest.mark.parametrize("name", ["first layer", "many neighbours", "three channels"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_sums_over_each_kind_of_senders_stay_apart(backend, name, kind, dtype):
    case = edge_case(*CASES[name], dtype=dtype, kind=kind)
    kinds, senders = 3, np.asarray(case.senders) % 3
    wide = replace(case.program, kinds=kinds).result_shapes(len(case.starts))
    rng = np.random.default_rng(0)
    case = replace(
        case, program=replace(case.program, kinds=kinds), senders=jnp.asarray(senders),
        sent=case.sent[:kinds], adjoints=tuple(rng.normal(size=n).astype(dtype) for n in wide),
        sent_adjoint=None,
    )  # fmt: skip
    with running(backend) as backend:
        found, (gradient, _) = jax.block_until_ready(run(case, backend))
    total = np.zeros_like(gradient)
    for which in range(kinds):
        only = replace(
            case, program=replace(case.program, kinds=1),
            sent=case.sent * (np.arange(kinds) == which)[:, None, None],
            adjoints=tuple(of_one_kind(case, case.adjoints, which)),
        )  # fmt: skip
        sums, (share, _) = run(only, "xla")
        total += share - case.gradient
        for one, other in zip(of_one_kind(case, found, which), sums, strict=True):
            close(one, other, TOLERANCE[dtype])
            assert np.abs(one).max() > 100 * TOLERANCE[dtype]
    close(gradient - case.gradient, total, TOLERANCE[dtype])


def test_each_kind_of_senders_needs_a_row():
    case = edge_case(0, 3, 16, (4, 2))
    case.program = replace(case.program, kinds=3)
    with pytest.raises(Exception, match="must have a row for each kind of senders"):
        jax.block_until_ready(edges_forward(case.program, case.operands, backend="cpu"))


@pytest.mark.parametrize("kind", ["mapped", "bare"])
@pytest.mark.parametrize("backend", ["xla", "cpu"])
def test_functions_that_edges_share(backend, kind):
    case, _ = case_and_expected("second layer", kind, np.float32)
    values, first = case.radial.values, int(case.starts[0])
    rows = np.zeros(len(case.vectors), np.int32)
    owned = slice(first, first + len(values))
    rows[owned] = np.random.default_rng(0).permutation(len(values) + 9)[: len(values)][: len(rows)]
    shared = jnp.zeros((len(values) + 9, *values.shape[1:]), values.dtype)
    shared = shared.at[rows[owned]].set(values[: len(rows[owned])])
    radial = case.radial._replace(values=shared, rows=jnp.asarray(rows))
    expected, found = run(case, backend), run(replace(case, radial=radial), backend)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)
    others = radial._replace(rows=jnp.roll(radial.rows, 1))  # control
    wrong = run(replace(case, radial=others), backend)
    assert not np.allclose(wrong[1][0], expected[1][0])


@pytest.mark.parametrize("change", ["no slopes", "columns", "factors", "bare", "rows"])
def test_functions_that_do_not_fit_are_refused(change):
    case = edge_case(1, 2, 16, (4, 2), kind="mapped")
    radial = case.radial
    fields = {
        "no slopes": {"values": radial.values[:, :1]},
        "columns": {"matrix": radial.matrix[1:]},
        "factors": {"factors": radial.factors[:, 1:]},
        "bare": {"matrix": None, "factors": None},
        "rows": {"rows": jnp.zeros(3, jnp.int32)},
    }[change]
    case.radial = radial._replace(**fields)
    if change == "no slopes":
        jax.block_until_ready(edges_forward(case.program, case.operands, backend="cpu"))
    with pytest.raises(Exception, match="the radial weights do not fit the paths and channels"):
        jax.block_until_ready(run(case, "cpu"))


def test_without_the_adjoint_of_the_senders_the_gradient_is_the_same():
    case = edge_case(1, 2, 16, RAGGED)
    for backend in ("xla", "cpu"):
        backward = jax.jit(partial(edges_backward, case.program, backend=backend))
        arguments = case.operands, case.adjoints, case.gradient
        gradient, nothing = backward(*arguments, None)
        assert nothing is None
        close(gradient, backward(*arguments, case.sent_adjoint)[0], 1e-13)


def test_rows_of_other_atoms_stay_as_they_are():
    case = edge_case(1, 2, 16, (4, 2), before=9, after=4)
    gradient, _ = run(case, "cpu")[1]
    np.testing.assert_array_equal(gradient[:9], case.gradient[:9])
    np.testing.assert_array_equal(gradient[15:], case.gradient[15:])


def test_degrees_without_kernels_are_done_by_xla():
    case = edge_case(0, 5, 1, (3,))
    forward = jax.jit(partial(edges_forward, case.program, backend="cpu"))
    assert "lammps_mace" not in forward.lower(case.operands).as_text()


def test_a_table_for_other_paths_is_refused():
    case = edge_case(1, 2, 16, (4, 2))
    case.radial = case.radial._replace(table=case.radial.table[:, :, 1:])
    with pytest.raises(Exception, match="the radial weights do not fit the paths and channels"):
        jax.block_until_ready(run(case, "cpu"))


def test_an_unknown_backend_is_refused():
    case = edge_case(0, 0, 1, (1,))
    with pytest.raises(ValueError, match="backend='tpu': use one of 'xla', 'cpu', 'gpu'"):
        run(case, "tpu")


@pytest.mark.skipif("avx512" not in BACKENDS, reason="compares AVX-512 with AVX2")
@pytest.mark.parametrize(("channels", "same"), [(8, True), (24, True), (16, False)])
def test_channels_that_leave_a_vector_incomplete_take_narrower_ones(channels, same):
    case = edge_case(1, 2, channels, RAGGED, dtype=np.float32)
    gradients = []
    for isa in ("avx512", "avx2"):
        with running(isa) as backend:
            gradients.append(np.asarray(run(case, backend)[1][0]))
    assert np.array_equal(*gradients) == same  # sums over channels are rounded by lanes
