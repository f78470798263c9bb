"""Arrays that stay on a GPU: LAMMPS's, which CuPy holds, in the engine's order and back."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.engine.chunks import Arrangement, filled
from lammps_mace.engine.ghost_exchange import GhostsBetween
from lammps_mace.engine.interface import DeviceFeatureExchange, Exchange


class DevicePairRows:
    """Pairs that LAMMPS lists on a GPU."""

    def __init__(self, arrangement: Arrangement, dtype: np.dtype, cutoff: float) -> None:
        graph, capacity = arrangement.graph, arrangement.capacity
        room, self._n_pairs = capacity.pair_rows, graph.n_pairs
        self._count = arrangement.n_pairs  # the others come after them
        self.vectors, self.senders, self.sender_species, self._order = _sorted(
            *(to_jax(x, room) for x in (graph.displacements, graph.receivers, graph.senders)),
            full_row_index(arrangement), filled(capacity.atoms, graph.species, -1),
            self._n_pairs, self._count, 2 * cutoff, dtype=dtype,
        )  # fmt: skip

    def gradient(self, gradient: jax.Array, out: Any = None) -> Any:
        """Return dE/d(r_neighbour - r_centre) as LAMMPS lists the pairs, float64 [n_pairs, 3]."""
        assert out is None, "the result is made on the GPU"
        return to_cupy(_listed(gradient, self._order, self._count))[: self._n_pairs]


@partial(jax.jit, static_argnames="dtype")
def _sorted(
    vectors: jax.Array, centres: jax.Array, senders: jax.Array, rows: jax.Array,
    species: jax.Array, n_pairs: int, count: int, far: float, *, dtype: np.dtype,
) -> tuple[jax.Array, ...]:  # fmt: skip
    index = jnp.arange(len(centres), dtype=jnp.int32)
    last = jnp.iinfo(jnp.int32).max
    # Rows of ghosts, and of own atoms that are not of the model, follow all slots.
    order = jnp.argsort(jnp.where(index < n_pairs, rows[centres], last)).astype(jnp.int32)
    senders = senders[order]
    padding = jnp.array([far, 0.0, 0.0])  # harmless in every function of the distance
    there = index < count
    return (
        # The centre of a pair receives: LAMMPS's r_neighbour - r_centre has the other sign.
        jnp.where(there[:, None], -vectors[order], padding).astype(dtype),
        jnp.where(there, rows[senders], 0),
        jnp.where(there, species[senders], 0),
        order,
    )


@jax.jit
def _listed(gradient: jax.Array, order: jax.Array, count: int) -> jax.Array:
    there = jnp.arange(len(order)) < count
    values = jnp.where(there[:, None], -gradient.astype(jnp.float64), 0.0)
    return jnp.zeros_like(values).at[order].set(values, unique_indices=True)


class DeviceExchange(Exchange, DeviceFeatureExchange, Protocol):
    """Exchanges rows of atoms, [n_total or more, width], in CuPy's arrays; collective."""

    def forward_copy(self, rows: Any) -> Any:
        """Return a copy with the ghosts' rows from their owners."""

    def reverse_copy(self, rows: Any) -> Any:
        """Return a copy with the ghosts' rows added to their owners'."""


class DeviceGhosts(GhostsBetween):
    """Moves layer features between ranks through arrays on a GPU."""

    exchange: DeviceExchange

    def fetch(self, sent: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows filled by their owners."""
        return sent if self._alone else self._through(self.exchange.forward_copy, sent)

    def give_back(self, adjoint: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' adjoints added at their owners."""
        return adjoint if self._alone else self._through(self.exchange.reverse_copy, adjoint)

    def _through(self, exchange: Any, whole: jax.Array) -> jax.Array:
        rows = full_row_index(self.arrangement)
        received = exchange(to_cupy(_packed(whole, rows)))
        return _unpacked(whole, rows, to_jax(received))


def full_row_index(arrangement: Arrangement) -> np.ndarray:
    """Return the row of each own atom and ghost, int32 [capacity.atoms]; no row for the rest."""
    return filled(arrangement.capacity.atoms, arrangement.frame.rows, arrangement.capacity.rows)


@jax.jit
def _packed(whole: jax.Array, rows: np.ndarray) -> jax.Array:
    """Return [atoms, width], the given rows of [rows, ...]."""
    return whole.reshape(len(whole), math.prod(whole.shape[1:])).at[rows].get(mode="fill")


@jax.jit
def _unpacked(whole: jax.Array, rows: np.ndarray, values: jax.Array) -> jax.Array:
    """Return [rows, ...] with the given rows replaced by [atoms, width]."""
    values = values.reshape(len(values), *whole.shape[1:])
    return whole.at[rows].set(values, mode="drop")


def to_jax(array: Any, room: int | None = None) -> jax.Array:
    """Return CuPy's array as JAX's, which owns no memory of its own.

    Args:
        room: give a copy with so many rows, the rest zero.
    """
    import cupy

    if room is not None:
        whole = cupy.zeros((room, *array.shape[1:]), array.dtype)
        whole[: len(array)] = array
        array = whole
    return jnp.from_dlpack(array)


def to_cupy(array: jax.Array) -> Any:
    """Return JAX's array as CuPy's, once it is computed."""
    import cupy

    return cupy.from_dlpack(array.block_until_ready())
