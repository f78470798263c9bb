"""The Gaunt products against mlip's own, against Clebsch-Gordan couplings, and under rotations."""

import os
from functools import partial
from types import SimpleNamespace

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mlip.models.gaunt_tensor_product import (
    GauntMessagePassingBlock,
    GauntTensorProduct,
)
from mlip.models.gaunt_tensor_product import (
    GauntSymmetricContraction as Oracle,
)

from lammps_mace.models.blocks.linear import join
from lammps_mace.models.blocks.quadrature import sphere_rule
from lammps_mace.models.mlip.gaunt import GauntInteraction, GauntSymmetricContraction, gaunt_product
from lammps_mace.models.mlip.interaction import EdgeInputs
from lammps_mace.models.options import Activation

# Relative to the largest value. The spherical designs mlip integrates with are good to 2e-15.
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


def random_like(tree, rng):
    return jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape)), tree)


def to_e3nn(features, irreps):
    """[n, dim, C] -> mlip's flat layout."""
    return e3nn.IrrepsArray(irreps, jnp.swapaxes(features, 1, 2)).axis_to_mul()


def value_and_gradient(function, x):
    def loss(x):
        value = function(x)
        return jnp.sum(jnp.sin(value)), value

    (_, value), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(x)
    return value, gradient


def assert_close(ours, reference, tolerance=TOLERANCE):
    scale = max(float(jnp.abs(reference).max()), 1e-30)
    assert float(jnp.abs(ours - reference).max()) <= tolerance * scale


@pytest.mark.parametrize("degree", [0, 1, 2, 7, 20])
def test_sphere_rule_is_exact_up_to_its_degree_and_not_beyond(degree):
    points, weights = sphere_rule(degree)
    # Mean of z^2k over the sphere is 1 / (2k + 1); of x^2k as well.
    for axis in (0, 2):
        for k in range(degree // 2 + 1):
            mean = weights @ points[:, axis] ** (2 * k)
            assert mean == pytest.approx(1.0 / (2 * k + 1), rel=1e-13)
    k = degree // 2 + 1
    assert abs(weights @ points[:, 2] ** (2 * k) * (2 * k + 1) - 1.0) > 1e-8


@pytest.mark.parametrize("degrees", [(1, 1, 2), (2, 3, 1), (3, 2, 3), (4, 4, 4)])
def test_gaunt_product_is_proportional_to_clebsch_gordan(degrees):
    one, two, out = (e3nn.Irreps([(1, (l, (-1) ** l))]) for l in degrees)  # noqa: E741
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(one.dim, 1)), rng.normal(size=(two.dim, 1))
    product = gaunt_product(jnp.asarray(x), one, jnp.asarray(y), two, out)[:, 0]
    coupled = np.einsum("kij,i,j", e3nn.clebsch_gordan(degrees[2], *degrees[:2]), x[:, 0], y[:, 0])
    # Gaunt's integral vanishes when the sum of the degrees is odd.
    factor = product @ coupled / (coupled @ coupled)
    assert (abs(factor) > 1e-3) == (sum(degrees) % 2 == 0)
    assert float(jnp.abs(product - factor * coupled).max()) < TOLERANCE


@pytest.mark.parametrize("degrees", [(0, 0, 0), (3, 3, 2), (4, 4, 4)])
def test_gaunt_product_is_that_of_mlip(degrees):
    one, two, out = map(natural, degrees)
    rng = np.random.default_rng(1)
    x, y = (jnp.asarray(rng.normal(size=(5, irreps.dim, 2))) for irreps in (one, two))
    flipped = (jnp.swapaxes(a, 1, 2) for a in (x, y))
    arrays = (e3nn.IrrepsArray(i, a) for i, a in zip((one, two), flipped, strict=True))
    reference = GauntTensorProduct((one, two), out)(*arrays).array
    assert_close(gaunt_product(x, one, y, two, out), jnp.swapaxes(reference, 1, 2))


def make_contraction(source, target, correlation, num_species, num_channels, seed=0):
    rng = np.random.default_rng(seed)
    module = GauntSymmetricContraction(source, target, correlation, num_species, num_channels)
    features = jnp.asarray(rng.normal(size=(4, source.dim, num_channels)))
    species = jnp.asarray(rng.integers(0, num_species, 4), jnp.int32)
    shapes = jax.eval_shape(module.init, jax.random.PRNGKey(0), features, species)
    return module, random_like(shapes, rng), features, species


def random_contractions(count):
    rng = np.random.default_rng(20252)
    for _ in range(count):
        correlation, l_max = int(rng.integers(1, 5)), int(rng.integers(0, 4))
        l_out = int(rng.integers(0, l_max + 1))
        sizes = (int(rng.integers(1, 5)), int(rng.integers(1, 4)))
        yield natural(l_max), natural(l_out), correlation, *sizes


MORE_CASES = int(os.environ.get("LAMMPS_MACE_MORE_CASES", "0"))
CONTRACTIONS = [
    (natural(3), natural(1), 3, 2, 3),
    (natural(4), natural(2), 2, 2, 1),
    *random_contractions(3 + MORE_CASES),
]


@pytest.mark.parametrize("case", CONTRACTIONS, ids=str)
def test_contraction_has_the_value_gradient_and_parameters_of_mlip(case):
    source, target, correlation, num_species, num_channels = case
    module, variables, features, species = make_contraction(*case)
    oracle = Oracle(str(source), str(target), correlation, num_species, num_channels)

    def reference(x):
        array = e3nn.IrrepsArray(source, jnp.swapaxes(x, 1, 2))
        return jnp.swapaxes(oracle.apply(variables, array, species).array, 1, 2)

    array = e3nn.IrrepsArray(source, jnp.swapaxes(features, 1, 2))
    init = jax.eval_shape(oracle.init, jax.random.PRNGKey(0), array, species)
    assert jax.tree.map(jnp.shape, init) == jax.tree.map(jnp.shape, variables)
    expected = value_and_gradient(reference, features)
    found = value_and_gradient(lambda x: module.apply(variables, x, species), features)
    assert_close(found[0], expected[0])
    assert_close(found[1], expected[1])


def test_contraction_in_float32_stays_in_float32():
    module, variables, features, species = make_contraction(natural(2), natural(1), 3, 2, 3)
    apply = jax.jit(module.apply)
    value = apply(variables, features.astype(jnp.float32), species)
    assert value.dtype == jnp.float32
    assert_close(value, apply(variables, features, species), TOLERANCE_FLOAT32)


def test_contraction_with_swapped_factors_is_another_function():
    module, variables, features, species = make_contraction(natural(2), natural(1), 2, 1, 2)
    swapped = {"params": dict(variables["params"])}
    swapped["params"]["linear_in_0"] = variables["params"]["linear_in_1"]
    swapped["params"]["linear_in_1"] = variables["params"]["linear_in_0"]
    apply = jax.jit(module.apply)
    value = apply(variables, features, species)
    with pytest.raises(AssertionError):
        # Only the second factor has a bias, so the two are not alike.
        assert_close(apply(swapped, features, species), value)


@pytest.mark.parametrize("inversion", [0, 1])
def test_contraction_is_equivariant(inversion):
    source, target = natural(2), natural(1)
    module, variables, features, species = make_contraction(source, target, 3, 2, 2)
    axis, angle = jnp.asarray([0.48, -0.6, 0.64]), jnp.asarray(1.1)

    @partial(jax.jit, static_argnums=0)
    def turn(irreps, x):
        return jnp.einsum("ij,njc->nic", irreps.D_from_axis_angle(axis, angle, inversion), x)

    apply = jax.jit(module.apply)
    turned = apply(variables, turn(source, features), species)
    value = apply(variables, features, species)
    assert_close(turned, turn(target, value), TOLERANCE)
    with pytest.raises(AssertionError):
        assert_close(turned, value)


def test_contraction_of_pseudotensors_is_refused():
    with pytest.raises(ValueError, match=r"gaunt_tp.*'0o', '1e'.*include_pseudotensors=False"):
        make_contraction(both_parities(1), natural(1), 2, 1, 1)


class FakeGraph(SimpleNamespace):
    """What mlip's block reads of its graph; its result is the new node features."""

    def update_node_features(self, latent):
        return latent


def make_interaction(source, target, l_max, channels, seed=0):
    """Return module, variables, features [n, dim, C], senders [n_edges], edges."""
    rng = np.random.default_rng(seed)
    n_nodes, n_edges = 5, 12
    module = GauntInteraction(source, target, channels, l_max, (6,), Activation.SILU, 7.3)
    vectors = jnp.asarray(rng.normal(size=(n_edges, 3)))
    edges = EdgeInputs(
        radial=jnp.asarray(rng.normal(size=(n_edges, 4))),
        spherical=e3nn.spherical_harmonics(natural(l_max), vectors, True).array,
        receivers=jnp.asarray(np.sort(rng.integers(0, n_nodes, n_edges)), jnp.int32),
    )
    senders = jnp.asarray(rng.integers(0, n_nodes, n_edges), jnp.int32)
    features = jnp.asarray(rng.normal(size=(n_nodes, source.dim, channels)))
    shapes = jax.eval_shape(
        lambda: module.init(jax.random.PRNGKey(0), features, senders, edges, method=whole_block)
    )
    return module, random_like(shapes, rng), features, senders, edges


def whole_block(module, features, senders, edges):
    blocks = module.receive(module.send(features)[senders], edges, features.shape[0])
    return join(blocks, module.target)


INTERACTIONS = [
    (natural(0), natural(3), 3, 2),
    (natural(1), natural(2), 2, 3),
    (natural(2), natural(3), 3, 1),
    (natural(0), natural(0), 0, 2),
    (natural(0), both_parities(2), 2, 2),  # pseudotensors that nothing reaches: zeros
]


@pytest.mark.parametrize("case", INTERACTIONS, ids=str)
def test_interaction_has_the_value_gradient_and_parameters_of_mlip(case):
    source, target, l_max, channels = case
    module, variables, features, senders, edges = make_interaction(*case)
    oracle = GauntMessagePassingBlock(
        source_irreps=channels * source,
        l_max=l_max,
        target_irreps=channels * target,
        num_rbf=4,
        radial_mlp_hidden=[6],
        radial_mlp_activation="silu",
        avg_num_neighbors=7.3,
    )

    def graph(x):
        node = {"latent": to_e3nn(x, source)}
        edge = {
            "spherical_embedding": e3nn.IrrepsArray(natural(l_max), edges.spherical),
            "radial_embedding": e3nn.IrrepsArray("4x0e", edges.radial),
        }
        return FakeGraph(
            nodes=SimpleNamespace(features=node),
            edges=SimpleNamespace(features=edge),
            senders=senders,
            receivers=edges.receivers,
        )

    def reference(x):
        out = oracle.apply(variables, graph(x))
        return jnp.swapaxes(out.mul_to_axis(channels).array, 1, 2)

    init = jax.eval_shape(lambda: oracle.init(jax.random.PRNGKey(0), graph(features)))
    assert jax.tree.map(jnp.shape, init) == jax.tree.map(jnp.shape, variables)
    expected = value_and_gradient(reference, features)
    found = value_and_gradient(
        lambda x: module.apply(variables, x, senders, edges, method=whole_block), features
    )
    assert_close(found[0], expected[0])
    assert_close(found[1], expected[1])


def test_interaction_ignores_masked_edges():
    module, variables, features, senders, edges = make_interaction(natural(1), natural(2), 2, 2)
    short = jax.tree.map(lambda a: a[:-3], edges)
    masked = edges._replace(mask=jnp.arange(senders.size) < senders.size - 3)
    apply = jax.jit(partial(module.apply, method=whole_block))
    outputs = [
        apply(variables, features, senders[: e.receivers.size], e) for e in (short, masked, edges)
    ]
    assert_close(outputs[1], outputs[0], TOLERANCE)
    with pytest.raises(AssertionError):
        assert_close(outputs[2], outputs[0])


def test_interaction_that_reaches_pseudotensors_is_refused():
    with pytest.raises(ValueError, match=r"use_gaunt_tp_message_passing.*include_pseudotensors"):
        make_interaction(natural(1), both_parities(1), 1, 1)
