"""The constants of the normalised activations, against e3nn's own."""

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import pytest

from lammps_mace.models.blocks.activation import activation, normalized, normalized_odd
from lammps_mace.models.options import Activation


@pytest.mark.parametrize(("dtype", "limit"), [("float64", 1e-13), ("float32", 1e-6)])
@pytest.mark.parametrize("name", [*Activation, "odd"])
def test_norms_are_e3nns(name, dtype, limit):
    """A sum over a million float32 numbers depends on the machine in its last digits."""
    with jax.enable_x64(dtype == "float64"):
        plain = e3nn.soft_odd if name == "odd" else activation(name)
        ours = normalized_odd(dtype) if name == "odd" else normalized(name, dtype)
        x = jnp.ones((), dtype)
        assert ours(x).dtype == dtype
        assert ours(x) == pytest.approx(float(e3nn.normalize_function(plain)(x)), rel=limit)
        assert ours(x) != pytest.approx(float(plain(x)), rel=10 * limit)
