"""Passes of a layer over all chunks of atoms: forward, backward, or both at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lammps_mace.engine.chunks import Capacity, Chunk, Inputs, cut
from lammps_mace.engine.layer import Layer, Memo, Results, State, Sums


class Room(NamedTuple):
    """Memory for what a layer makes, the same in every step: its rows are written anew.

    Rows that no atom has keep what they held; nothing reads them.

    Attributes:
        state: that the layer makes.
        memo: that it notes, or None.
    """

    state: State
    memo: Memo


class Passes(NamedTuple):
    """The passes of a step.

    Attributes:
        forward, backward: of the inner layers, in the order of layers.
        last: :func:`forward_and_backward` of the last layer; None if it is an inner one too.
    """

    forward: list[Callable[..., Any]]
    backward: list[Callable[..., Any]]
    last: Callable[..., Any] | None

    @classmethod
    def of(cls, layers: Sequence[Layer], scale: float, at_once: bool) -> Passes:
        """Return the passes through these layers.

        Args:
            scale: eV of one of the network's units of energy.
            at_once: run the last layer forward and backward at once.
        """
        inner = layers[: len(layers) - at_once]
        return cls(
            [partial(forward, layer) for layer in inner],
            [partial(backward, layer, scale) for layer in inner],
            partial(forward_and_backward, layers[-1], scale) if at_once else None,
        )

    def jitted(self) -> Passes:
        """Return the same, each compiled; what they update lends its memory to the results."""
        return Passes(
            [jitted(f, "outputs", "room") for f in self.forward],
            [jitted(f, "gradient") for f in self.backward],
            None if self.last is None else jitted(self.last, "outputs"),
        )

    @property
    def named(self) -> dict[str, Callable[..., Any]]:
        """The functions by name."""
        named = {f"forward {i + 1}": f for i, f in enumerate(self.forward)}
        named |= {f"backward {i + 1}": f for i, f in enumerate(self.backward)}
        return named if self.last is None else named | {"last layer": self.last}


def jitted(function: Callable[..., Any], *updated: str) -> Any:
    """Compile a function; arguments ``updated`` lend their memory to the results."""
    return jax.jit(function, static_argnames="capacity", donate_argnames=updated)


def forward(
    layer: Layer, weights: Any, inputs: Inputs, state: State | None, outputs: jax.Array,
    room: Room, *, capacity: Capacity,
) -> tuple[Room, jax.Array]:  # fmt: skip
    """Run a layer forward; return its state and memo, and the outputs so far."""

    def body(k: jax.Array, carry: tuple[Room, jax.Array]) -> tuple[Room, jax.Array]:
        room, outputs = carry
        chunk = cut(inputs, k, capacity.chunk_atoms, capacity.chunk_pairs)
        results, memo = layer.forward(weights, inputs, chunk, state, room.memo)
        rows = results.kept, results.sent
        made = State(*jax.tree.map(chunk.put_atoms, tuple(room.state), rows))
        return Room(made, memo), _added(outputs, chunk, results.outputs)

    return jax.lax.fori_loop(0, inputs.n_chunks, body, (room, outputs))


def forward_and_backward(
    layer: Layer, scale: float, weights: Any, inputs: Inputs, state: State | None,
    outputs: jax.Array, zero: jax.Array | None, *, capacity: Capacity,
) -> tuple[jax.Array, Sums]:  # fmt: skip
    """Run the last layer; return all outputs, and the sums of the backward pass so far."""

    def body(k: jax.Array, carry: Any) -> Any:
        outputs, sums = carry
        chunk = cut(inputs, k, capacity.chunk_atoms, capacity.chunk_pairs)
        results, pull = layer.linearize(weights, inputs, chunk, state, None)
        adjoint = _output_adjoint(results.outputs, chunk, scale, None)
        sums = pull(Results(None, None, adjoint), sums)
        return _added(outputs, chunk, results.outputs), sums

    start = outputs, Sums(*_zeros((inputs.vectors, state), zero))
    return jax.lax.fori_loop(0, inputs.n_chunks, body, start)


def backward(
    layer: Layer, scale: float, weights: Any, inputs: Inputs, state: State | None, memo: Memo,
    above: State, gradient: jax.Array, zero: jax.Array | None, charge_adjoint: jax.Array | None,
    *, capacity: Capacity,
) -> Sums:  # fmt: skip
    """Pull the adjoints of a layer's results, ``above``, back to its pairs and state."""

    def body(k: jax.Array, sums: Sums) -> Sums:
        chunk = cut(inputs, k, capacity.chunk_atoms, capacity.chunk_pairs)
        results, pull = layer.linearize(weights, inputs, chunk, state, memo)
        # After the layer has read its memo and what it kept.
        kept, sent = jax.tree.map(chunk.later().later().atoms, tuple(above))
        adjoint = _output_adjoint(results.outputs, chunk, scale, charge_adjoint)
        return pull(Results(kept, sent, adjoint), sums)

    start = Sums(gradient, _zeros(state, zero))
    return jax.lax.fori_loop(0, inputs.n_chunks, body, start)


def _zeros(like: Any, zero: jax.Array | None) -> Any:
    """Return zeros of the same shapes, made once there is a ``zero`` to fill them with."""
    return jax.tree.map(lambda x: jnp.full_like(x, 0 if zero is None else zero), like)


def _output_adjoint(
    outputs: jax.Array, chunk: Chunk, scale: float, charge_adjoint: jax.Array | None
) -> jax.Array:
    """Return the adjoint of a chunk's outputs, energies and perhaps charges."""
    # The network's energies are multiplied by the scale before they are eV.
    energies = jnp.where(chunk.counted, scale, 0.0).astype(outputs.dtype)
    charges = jnp.zeros_like(energies) if charge_adjoint is None else chunk.atoms(charge_adjoint)
    return jnp.stack([energies, charges], axis=1)[:, : outputs.shape[1]]


def _added(outputs: jax.Array, chunk: Chunk, rows: jax.Array) -> jax.Array:
    return chunk.put_atoms(outputs, chunk.atoms(outputs) + rows)
