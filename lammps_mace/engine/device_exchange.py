"""DeviceExchange: the ghost exchange between two programs, through arrays on a GPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lammps_mace.engine.device_arrays import padded_row_index, to_cupy, to_jax
from lammps_mace.engine.ghost_exchange import BetweenPrograms
from lammps_mace.engine.interface import DeviceFeatureExchange
from lammps_mace.engine.step_layout import StepLayout


class DeviceExchange(BetweenPrograms):
    """Packs the rows of atoms, lets LAMMPS exchange them, and unpacks them."""

    def __init__(self, layout: StepLayout, exchange: DeviceFeatureExchange) -> None:
        super().__init__(layout)
        self._exchange = exchange

    def forward(self, sent: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows filled by their owners."""
        return self._through(self._exchange.forward_copy, sent)

    def reverse(self, adjoint: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows added to their owners'."""
        return self._through(self._exchange.reverse_copy, adjoint)

    def _through(self, exchange: Callable[[Any], Any], array: jax.Array) -> jax.Array:
        index = padded_row_index(self.layout)
        received = exchange(to_cupy(pack_rows(array, index)))
        return unpack_rows(array, index, to_jax(received))


@jax.jit
def pack_rows(array: jax.Array, row_index: np.ndarray) -> jax.Array:
    """Return [atoms, width], the given rows of [rows, ...]; NaN where there is no row."""
    return array.reshape(len(array), math.prod(array.shape[1:])).at[row_index].get(mode="fill")


@jax.jit
def unpack_rows(array: jax.Array, row_index: np.ndarray, values: jax.Array) -> jax.Array:
    """Return [rows, ...] with the given rows replaced by [atoms, width]."""
    values = values.reshape(len(values), *array.shape[1:])
    return array.at[row_index].set(values, mode="drop")
