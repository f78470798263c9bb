"""Ghosts: layer features between the engine's slots and the rows that ranks exchange."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.coupling.neighbors import Exchange
from lammps_mace.inference.chunks import Arrangement
from lammps_mace.inference.layers import State


class Ghosts:
    """Moves layer features between ranks; on one domain they stay where they are."""

    def __init__(self, arrangement: Arrangement, exchange: Exchange) -> None:
        self.arrangement, self.exchange = arrangement, exchange
        self._alone = arrangement.neighbors.one_domain

    def fetch_state(self, state: State) -> State:
        """Return the state with what ghosts send; as it is after the last layer."""
        return state if state.sent is None else State(state.kept, self.fetch(state.sent))

    def give_back_state(self, adjoint: State | None) -> State | None:
        """Return the adjoint of :meth:`fetch_state`."""
        if adjoint is None or adjoint.sent is None:
            return adjoint
        return State(adjoint.kept, self.give_back(adjoint.sent))

    def fetch(self, sent: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows filled by their owners."""
        if self._alone:
            return sent
        rows = self._empty(sent)
        rows[: self._n_local] = self._flat(self.arrangement.from_slots(np.asarray(sent)))
        self.exchange.forward_exchange(rows)
        full = np.array(sent)
        ghosts = rows[self._n_local :]
        start = self.arrangement.capacity.slots
        full[start : start + len(ghosts)] = ghosts.reshape(len(ghosts), *sent.shape[1:])
        return jnp.asarray(full)

    def give_back(self, adjoint: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' adjoints added at their owners."""
        if self._alone:
            return adjoint
        values = np.asarray(adjoint)
        rows = self._empty(adjoint)
        rows[: self._n_local] = self._flat(self.arrangement.from_slots(values))
        start = self.arrangement.capacity.slots
        n_ghosts = len(rows) - self._n_local
        rows[self._n_local :] = self._flat(values[start : start + n_ghosts])
        self.exchange.reverse_exchange(rows)
        out = np.zeros_like(values)
        own = rows[: self._n_local].reshape(self._n_local, *adjoint.shape[1:])
        out[:start] = self.arrangement.to_slots(own)
        return jnp.asarray(out)

    @property
    def _n_local(self) -> int:
        return self.arrangement.neighbors.n_local

    @staticmethod
    def _flat(values: np.ndarray) -> np.ndarray:
        # The width is spelled out: a rank without any atoms has nothing to infer it from.
        return values.reshape(len(values), math.prod(values.shape[1:]))

    def _empty(self, like: jax.Array) -> np.ndarray:
        return np.empty((self.arrangement.neighbors.n_total, math.prod(like.shape[1:])), like.dtype)
