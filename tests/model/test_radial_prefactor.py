"""The radial prefactor is rounded as mlip rounds it: one operation after the other."""

import jax
import jax.numpy as jnp
import pytest

from lammps_mace.models.mlip import embedding
from lammps_mace.models.mlip.config import RadialEnvelope
from lammps_mace.runtime.precision import constants

SETTINGS = [
    (r_min, cutoff, num_rbf, kind)
    for r_min, cutoff, num_rbf in [(2.2140223, 4.0, 12), (1.2657155, 5.5421324, 8), (2.2, 5.0, 8)]
    for kind in RadialEnvelope
]


def mean_square(samples, cutoff, num_rbf, kind):
    return jnp.mean(embedding.radial_basis(samples, cutoff, num_rbf, kind) ** 2)


def prefactor(settings, function):
    r_min, cutoff, num_rbf, kind = settings
    with constants():
        samples = jnp.linspace(r_min, cutoff, 1000, dtype=jnp.float32)
        return float(function(samples, cutoff, num_rbf, kind).item() ** -0.5)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_prefactor_is_rounded_operation_by_operation(settings):
    assert embedding.radial_prefactor(*settings) == prefactor(settings, mean_square)


def test_control_one_fused_program_is_rounded_otherwise():
    fused = jax.jit(mean_square, static_argnums=(1, 2, 3))
    assert any(prefactor(s, fused) != prefactor(s, mean_square) for s in SETTINGS)
