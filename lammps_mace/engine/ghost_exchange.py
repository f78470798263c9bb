"""Ghosts: layer features between the engine's rows and their owners on other ranks."""

from __future__ import annotations

import ctypes
import math
from abc import ABC, abstractmethod

import jax
import numpy as np

from lammps_mace.engine.chunks import Arrangement
from lammps_mace.engine.interface import Exchange
from lammps_mace.engine.layer import NodeFeatures
from lammps_mace.kernels import ghost_exchange


class Ghosts(ABC):
    """Moves layer features between ranks.

    What is given to these methods is theirs: on a CPU its memory is exchanged in place.

    Attributes:
        zero: made after the last move, to fill what is needed from then on; None: a constant.
    """

    zero: jax.Array | None = None

    @abstractmethod
    def fetch(self, sent: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows filled by their owners."""

    @abstractmethod
    def give_back(self, adjoint: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' adjoints added at their owners."""

    def fetch_state(self, features: NodeFeatures) -> NodeFeatures:
        """Return the features with what ghosts send; as it is after the last layer."""
        return (
            features
            if features.sent is None
            else NodeFeatures(features.skip, self.fetch(features.sent))
        )

    def give_back_state(self, adjoint: NodeFeatures | None) -> NodeFeatures | None:
        """Return the adjoint of :meth:`fetch_state`."""
        if adjoint is None or adjoint.sent is None:
            return adjoint
        return NodeFeatures(adjoint.skip, self.give_back(adjoint.sent))


class GhostsWithin(Ghosts):
    """Moves features of arrays that are traced: the program of a step does it itself, on a CPU.

    Args:
        exchange_handle: of the step.

    Attributes:
        timings: of all moves so far, see ``read_timing``.
    """

    def __init__(self, exchange_handle: jax.Array) -> None:
        self._exchange_handle = exchange_handle
        self.timings: list[jax.Array] = []

    def fetch(self, sent: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows filled by their owners."""
        return self._moved(sent, reverse=False)

    def give_back(self, adjoint: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' adjoints added at their owners."""
        return self._moved(adjoint, reverse=True)

    def _moved(self, rows: jax.Array, reverse: bool) -> jax.Array:
        exchanged = ghost_exchange(rows, self._exchange_handle, reverse)
        self.timings.append(exchanged.timing)
        self.zero = exchanged.zero
        return exchanged.rows


class GhostsBetween(Ghosts):
    """Moves features between two programs; on one domain they stay where they are."""

    def __init__(self, arrangement: Arrangement, exchange: Exchange) -> None:
        self.arrangement, self.exchange = arrangement, exchange
        self._alone = arrangement.graph.one_domain

    def fetch(self, sent: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows filled by their owners."""
        if self._alone:
            return sent
        memory = _memory(sent)
        self.exchange.forward_exchange(_flat(memory), self.arrangement.frame.rows)
        return _array(memory, sent)

    def give_back(self, adjoint: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' adjoints added at their owners."""
        if self._alone:
            return adjoint
        memory = _memory(adjoint)
        self.exchange.reverse_exchange(_flat(memory), self.arrangement.frame.rows)
        return _array(memory, adjoint)


def _memory(array: jax.Array) -> np.ndarray:
    """Return the memory of a JAX array on a CPU, to write into; else a copy.

    JAX takes its arrays for constant; whoever writes must be the only one who holds this one.
    """
    array.block_until_ready()
    if not _on_cpu(array):
        return np.array(array)
    memory = (ctypes.c_char * array.nbytes).from_address(array.unsafe_buffer_pointer())
    return np.ndarray(array.shape, array.dtype, buffer=memory)  # type: ignore[arg-type]


def _array(memory: np.ndarray, origin: jax.Array) -> jax.Array:
    """Return the JAX array of what :func:`_memory` gave."""
    return origin if _on_cpu(origin) else jax.device_put(memory, origin.device)


def _on_cpu(array: jax.Array) -> bool:
    return all(device.platform == "cpu" for device in array.devices())


def _flat(values: np.ndarray) -> np.ndarray:
    # The width is spelled out: a rank without any atoms has nothing to infer it from.
    return values.reshape(len(values), math.prod(values.shape[1:]))
