"""Ghost exchange: features of ghosts come from their owners, and adjoints go back to them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.engine.host_memory import array_of, memory
from lammps_mace.engine.interface import FeatureExchange
from lammps_mace.engine.layer import NodeFeatures
from lammps_mace.engine.step_layout import StepLayout
from lammps_mace.kernels import ghost_exchange


class GhostExchange(ABC):
    """Moves layer features between ranks.

    The arrays that these methods are given are theirs: on a CPU their memory is exchanged in place.

    Attributes:
        zero: a scalar 0 that exists once the last exchange is over; None: any 0 will do. Arrays
            that are filled with it are made then, not before.
    """

    zero: jax.Array | None = None

    @abstractmethod
    def fill_ghosts(self, sent: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows filled by their owners."""

    @abstractmethod
    def add_to_owners(self, adjoint: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows added to their owners'."""

    def fill_features(self, features: NodeFeatures) -> NodeFeatures:
        """Return the features with what ghosts send; after the last layer there is nothing."""
        if features.sent is None:
            return features
        return NodeFeatures(features.skip, self.fill_ghosts(features.sent))

    def add_features(self, adjoint: NodeFeatures | None) -> NodeFeatures | None:
        """Return the adjoint of :meth:`fill_features`."""
        if adjoint is None or adjoint.sent is None:
            return adjoint
        return self.add_adjoints(adjoint)

    def add_adjoints(self, adjoint: NodeFeatures) -> NodeFeatures:
        """Return the adjoint of :meth:`fill_features` where there is something to exchange."""
        return NodeFeatures(adjoint.skip, self.add_to_owners(adjoint.sent))


class OneDomain(GhostExchange):
    """No exchange: there are no ghosts."""

    def fill_ghosts(self, sent: jax.Array) -> jax.Array:
        """Return the rows as they are."""
        return sent

    def add_to_owners(self, adjoint: jax.Array) -> jax.Array:
        """Return the rows as they are."""
        return adjoint


class InProgramExchange(GhostExchange):
    """Exchanges that a compiled program makes itself, on a CPU; its arrays are traced.

    Args:
        handle: of the step, see :class:`lammps_mace.engine.interface.CompiledExchange`.
    """

    def __init__(self, handle: jax.Array) -> None:
        self._handle = handle
        self._timings: list[jax.Array] = []

    @property
    def timings(self) -> jax.Array:
        """Of all exchanges so far, uint32 [n, 6], see :func:`lammps_mace.kernels.read_timings`."""
        return jnp.array(self._timings, jnp.uint32).reshape(-1, 6)

    def fill_ghosts(self, sent: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows filled by their owners."""
        return self._exchanged(sent, reverse=False)

    def add_to_owners(self, adjoint: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows added to their owners'."""
        return self._exchanged(adjoint, reverse=True)

    def _exchanged(self, rows: jax.Array, reverse: bool) -> jax.Array:
        exchanged = ghost_exchange(rows, self._handle, reverse)
        self._timings.append(exchanged.timing)
        self.zero = exchanged.zero
        return exchanged.rows


class BetweenPrograms(GhostExchange):
    """Exchanges that Python makes between two programs; on one domain there are none."""

    def __init__(self, layout: StepLayout) -> None:
        self.layout = layout

    def fill_ghosts(self, sent: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows filled by their owners."""
        return sent if self.layout.graph.one_domain else self.forward(sent)

    def add_to_owners(self, adjoint: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows added to their owners'."""
        return adjoint if self.layout.graph.one_domain else self.reverse(adjoint)

    @abstractmethod
    def forward(self, sent: jax.Array) -> jax.Array:
        """Do it, on several domains."""

    @abstractmethod
    def reverse(self, adjoint: jax.Array) -> jax.Array:
        """Do it, on several domains."""


class HostExchange(BetweenPrograms):
    """Exchanges between two programs through arrays on the host."""

    def __init__(self, layout: StepLayout, exchange: FeatureExchange) -> None:
        super().__init__(layout)
        self._exchange = exchange

    def forward(self, sent: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows filled by their owners."""
        rows = memory(sent)
        self._exchange.forward_exchange(_flat(rows), self.layout.atoms.row_index)
        return array_of(rows, sent)

    def reverse(self, adjoint: jax.Array) -> jax.Array:
        """Return [rows, ...] with the ghosts' rows added to their owners'."""
        rows = memory(adjoint)
        self._exchange.reverse_exchange(_flat(rows), self.layout.atoms.row_index)
        return array_of(rows, adjoint)


def _flat(values: np.ndarray) -> np.ndarray:
    # The width is spelled out: a rank without any atoms has nothing to infer it from.
    return values.reshape(len(values), math.prod(values.shape[1:]))
