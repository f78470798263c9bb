"""Ziegler-Biersack-Littmark repulsion of mace-torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.models.description import PairEnergy
from lammps_mace.models.torch.basis import envelope, radii_of
from lammps_mace.models.torch.config import TorchMaceConfig

# Constants in the library's code; all others are in its files.
_DECAYS = 3.2, 0.9423, 0.4028, 0.2016
_BOHR = 0.529  # Å
_COULOMB = 14.3996  # eV Å / e^2
_NEAREST = 1e-6  # Å


def pair_repulsion(config: TorchMaceConfig, params: Mapping[str, Any]) -> PairEnergy | None:
    """Return the repulsion of a model, None if it has none.

    Args:
        params: of the model.
    """
    if not config.pair_repulsion:
        return None
    numbers = np.array(config.atomic_numbers, np.float64)
    return PairEnergy(_half_energy, {**params["pair_repulsion"], "numbers": numbers},
                      scaled=config.scale_shift)  # fmt: skip


def _half_energy(
    params: Mapping[str, Any], distances: jax.Array, senders: jax.Array, receivers: jax.Array
) -> jax.Array:
    r = jnp.maximum(distances, _NEAREST)
    one, other = params["numbers"][senders], params["numbers"][receivers]
    exponent = params["a_exp"]
    length = params["a_prefactor"] * _BOHR / (one**exponent + other**exponent)
    decays = jnp.exp(-jnp.array(_DECAYS, r.dtype) * (r / length)[:, None])
    energy = _COULOMB * one * other / r * (decays @ params["c"])
    return 0.5 * energy * envelope(distances, radii_of(params, senders, receivers), params["p"])
