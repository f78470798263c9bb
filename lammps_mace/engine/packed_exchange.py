"""PackedExchange: the ghost exchange between programs; only rows that travel leave the device."""

from __future__ import annotations

import math
from functools import partial

import jax
import numpy as np

from lammps_mace.engine.device_exchange import pack_rows
from lammps_mace.engine.device_list import DeviceList
from lammps_mace.engine.ghost_exchange import BetweenPrograms
from lammps_mace.engine.interface import FeatureExchange
from lammps_mace.engine.transfers import EXCHANGE, Transfers


class PackedExchange(BetweenPrograms):
    """Packs rows on the device, lets the host exchange them, and unpacks them there.

    Args:
        listed: knows which rows travel.
        transfers: of the rows.
    """

    def __init__(self, listed: DeviceList, exchange: FeatureExchange, transfers: Transfers) -> None:
        super().__init__(listed.layout)
        self._listed, self._exchange, self._transfers = listed, exchange, transfers
        self._n_sent = len(listed.arrays.sent)

    def forward(self, sent: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows filled by their owners."""
        rows = self._buffer(sent)
        packed = pack_rows(sent, self._listed.arrays.sent)
        rows[: self._n_sent] = self._transfers.down(packed, EXCHANGE)
        self._exchange.forward_exchange(rows, self._listed.sent_index)
        ghosts = self._transfers.up(rows[self._n_sent :], EXCHANGE)
        return put_rows(sent, ghosts, self.layout.capacity.slots)

    def reverse(self, adjoint: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows added to their owners'."""
        rows = self._buffer(adjoint)
        # On own rows there is nothing here: what comes back is what other ranks have to add.
        ghosts = rows_from(adjoint, first=self.layout.capacity.slots)
        rows[self._n_sent :] = self._transfers.down(ghosts, EXCHANGE)
        self._exchange.reverse_exchange(rows, self._listed.sent_index)
        added = self._transfers.up(rows[: self._n_sent], EXCHANGE)
        return add_rows(adjoint, added, self._listed.arrays.sent)

    def _buffer(self, like: jax.Array) -> np.ndarray:
        """Return zeros for rows that are sent, then for all ghosts, [n, width]."""
        n_rows = self._n_sent + self.layout.capacity.ghosts
        return np.zeros((n_rows, math.prod(like.shape[1:])), like.dtype)


@partial(jax.jit, static_argnames="first")
def rows_from(array: jax.Array, *, first: int) -> jax.Array:
    """Return [n, width], all rows of [rows, ...] from ``first`` on."""
    return array[first:].reshape(len(array) - first, math.prod(array.shape[1:]))


@jax.jit
def put_rows(array: jax.Array, values: jax.Array, first: int) -> jax.Array:
    """Return [rows, ...] with the rows from ``first`` on replaced by [n, width]."""
    return jax.lax.dynamic_update_slice_in_dim(
        array, values.reshape(len(values), *array.shape[1:]), first, 0
    )


@jax.jit
def add_rows(array: jax.Array, values: jax.Array, index: jax.Array) -> jax.Array:
    """Return [rows, ...] with [n, width] added to the given rows."""
    return array.at[index].add(values.reshape(len(values), *array.shape[1:]), mode="drop")
