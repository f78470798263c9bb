"""Products of the messages of mace-torch, with the Clebsch-Gordan coefficients of its e3nn."""

from __future__ import annotations

from functools import lru_cache

import e3nn_jax as e3nn
import numpy as np

from lammps_mace.models.blocks.paths import TensorProductPath
from lammps_mace.models.torch.config import LayerConfig, TorchMaceConfig
from lammps_mace.models.torch.shapes import layer_paths

_NOISE = 1e-9  # far below any coefficient


def message_paths(config: TorchMaceConfig, layer: LayerConfig) -> tuple[TensorProductPath, ...]:
    """Return the products of a layer, in the order of its radial weights."""
    return tuple(
        TensorProductPath(
            e3nn.Irrep(*source), degree, e3nn.Irrep(*target),
            _coefficients((source[0], degree, target[0]), config.coupling_dtype),
        )
        for source, degree, target in layer_paths(config, layer)
    )  # fmt: skip


def _coefficients(degrees: tuple[int, int, int], dtype: str) -> np.ndarray:
    """Return coefficients as rounded as the library's; products with scalars have none there."""
    exact = clebsch_gordan(*degrees)
    has_table = 0 not in degrees and degrees != (1, 1, 1)
    return exact.astype(dtype).astype(np.float64) if has_table else exact


@lru_cache
def clebsch_gordan(*degrees: int) -> np.ndarray:
    """Return e3nn's ``wigner_3j`` of version 0.4.4, [2 l1 + 1, 2 l2 + 1, 2 l3 + 1]; norm 1.

    With an even sum of degrees e3nn-jax has the same ones. With an odd sum they change sign when
    two degrees are exchanged, and e3nn's have their first entry positive in ascending order.
    """
    order = sorted(range(3), key=lambda axis: degrees[axis])
    found = np.asarray(e3nn.clebsch_gordan(*(degrees[axis] for axis in order)), np.float64)
    found = found / np.linalg.norm(found)
    if sum(degrees) % 2:
        first = found[np.abs(found) > _NOISE][0]
        found = found * np.sign(first) * np.round(np.linalg.det(np.eye(3)[order]))
    return found.transpose(np.argsort(order))
