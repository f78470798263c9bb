"""Passes of a layer over all chunks of atoms: forward, backward, or both at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lammps_mace.engine.chunk import Chunk, chunk_at
from lammps_mace.engine.chunks import Capacity
from lammps_mace.engine.layer import Gradients, Layer, NodeFeatures, Results, Saved
from lammps_mace.engine.step_arrays import StepArrays


class LayerBuffers(NamedTuple):
    """Memory for what a layer makes, the same in every step: its rows are written anew.

    Rows that no atom has keep what they held; nothing reads them.

    Attributes:
        features: that the layer makes.
        saved: that it notes, or None.
    """

    features: NodeFeatures
    saved: Saved


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
    layer: Layer, weights: Any, arrays: StepArrays, features: NodeFeatures | None,
    outputs: jax.Array, room: LayerBuffers, *, capacity: Capacity,
) -> tuple[LayerBuffers, jax.Array]:  # fmt: skip
    """Run a layer forward; return its features and saved, and the outputs so far."""

    def body(k: jax.Array, carry: tuple[LayerBuffers, jax.Array]) -> tuple[LayerBuffers, jax.Array]:
        room, outputs = carry
        chunk = chunk_at(arrays, k, capacity.chunk_atoms, capacity.chunk_pairs)
        results, saved = layer.forward(weights, arrays, chunk, features, room.saved)
        rows = results.skip, results.sent
        made = NodeFeatures(*jax.tree.map(chunk.put_atoms, tuple(room.features), rows))
        return LayerBuffers(made, saved), _added(outputs, chunk, results.outputs)

    return jax.lax.fori_loop(0, arrays.n_chunks, body, (room, outputs))


def forward_and_backward(
    layer: Layer, scale: float, weights: Any, arrays: StepArrays, features: NodeFeatures | None,
    outputs: jax.Array, zero: jax.Array | None, *, capacity: Capacity,
) -> tuple[jax.Array, Gradients]:  # fmt: skip
    """Run the last layer; return all outputs, and the sums of the backward pass so far."""

    def body(k: jax.Array, carry: Any) -> Any:
        outputs, sums = carry
        chunk = chunk_at(arrays, k, capacity.chunk_atoms, capacity.chunk_pairs)
        results, pull = layer.vjp(weights, arrays, chunk, features, None)
        adjoint = _output_adjoint(results.outputs, chunk, scale, None)
        sums = pull(Results(None, None, adjoint), sums)
        return _added(outputs, chunk, results.outputs), sums

    start = outputs, Gradients(*_zeros((arrays.vectors, features), zero))
    return jax.lax.fori_loop(0, arrays.n_chunks, body, start)


def backward(
    layer: Layer, scale: float, weights: Any, arrays: StepArrays, features: NodeFeatures | None,
    saved: Saved, above: NodeFeatures, gradient: jax.Array, zero: jax.Array | None,
    charge_adjoint: jax.Array | None, *, capacity: Capacity,
) -> Gradients:  # fmt: skip
    """Vjp the adjoints of a layer's results, ``above``, back to its pairs and features."""

    def body(k: jax.Array, sums: Gradients) -> Gradients:
        chunk = chunk_at(arrays, k, capacity.chunk_atoms, capacity.chunk_pairs)
        results, pull = layer.vjp(weights, arrays, chunk, features, saved)
        # After the layer has read its saved and what it kept.
        skip, sent = jax.tree.map(chunk.later().later().atoms, tuple(above))
        adjoint = _output_adjoint(results.outputs, chunk, scale, charge_adjoint)
        return pull(Results(skip, sent, adjoint), sums)

    start = Gradients(gradient, _zeros(features, zero))
    return jax.lax.fori_loop(0, arrays.n_chunks, body, start)


def _zeros(like: Any, zero: jax.Array | None) -> Any:
    """Return zeros of the same shapes, made once there is a ``zero`` to fill them with."""
    return jax.tree.map(lambda x: jnp.full_like(x, 0 if zero is None else zero), like)


def _output_adjoint(
    outputs: jax.Array, chunk: Chunk, scale: float, charge_adjoint: jax.Array | None
) -> jax.Array:
    """Return the adjoint of a chunk's outputs, energies and perhaps charges."""
    # The network's energies are multiplied by the scale before they are eV.
    energies = jnp.where(chunk.energy_mask, scale, 0.0).astype(outputs.dtype)
    charges = jnp.zeros_like(energies) if charge_adjoint is None else chunk.atoms(charge_adjoint)
    return jnp.stack([energies, charges], axis=1)[:, : outputs.shape[1]]


def _added(outputs: jax.Array, chunk: Chunk, rows: jax.Array) -> jax.Array:
    return chunk.put_atoms(outputs, chunk.atoms(outputs) + rows)
