"""The passes of a layer over all chunks of atoms: forward, backward, or both at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lammps_mace.engine.buffers import LayerBuffers
from lammps_mace.engine.capacity import Capacity
from lammps_mace.engine.chunk import Chunk, chunk_at
from lammps_mace.engine.layer import Gradients, Layer, NodeFeatures, OfPairs, Results, Saved
from lammps_mace.engine.lowered_model import LoweredModel
from lammps_mace.engine.step_arrays import StepArrays


class Passes(NamedTuple):
    """The passes of a step.

    Attributes:
        forward, backward: of the inner layers, in the order of layers.
        last: :func:`forward_and_backward` of the last layer; None if it is an inner one too.
        of_pairs: of all layers; None where a layer computes nothing of all pairs at once.
    """

    forward: list[Callable[..., Any]]
    backward: list[Callable[..., Any]]
    last: Callable[..., Any] | None
    of_pairs: list[OfPairs]

    @classmethod
    def of(cls, model: LoweredModel) -> Passes:
        """Return the passes through the layers of a model."""
        n_inner, scale = model.n_inner_layers, model.energy_scale
        inner, rest = model.layers[:n_inner], model.layers[n_inner:]
        return cls(
            [partial(forward, layer) for layer in inner],
            [partial(backward, layer, scale) for layer in inner],
            partial(forward_and_backward, rest[0], scale) if rest else None,
            [layer.of_pairs for layer in model.layers],
        )

    def jitted(self, jit: Callable[..., Any]) -> Passes:
        """Return the same passes, each compiled.

        Args:
            jit: as :func:`jitted`.
        """
        return Passes(
            [jit(f, "outputs", "buffers") for f in self.forward],
            [jit(f, "gradient") for f in self.backward],
            None if self.last is None else jit(self.last, "outputs"),
            [function and jit(function) for function in self.of_pairs],
        )

    @property
    def named(self) -> dict[str, Callable[..., Any]]:
        """The functions by name."""
        named = {f"forward {i + 1}": f for i, f in enumerate(self.forward)}
        named |= {f"backward {i + 1}": f for i, f in enumerate(self.backward)}
        named |= {f"pairs {i + 1}": f for i, f in enumerate(self.of_pairs) if f is not None}
        return named if self.last is None else named | {"last layer": self.last}


def jitted(function: Callable[..., Any], *updated: str) -> Any:
    """Compile a function; the memory of the arguments ``updated`` becomes that of results."""
    static = {"capacity", "n_rows"}.intersection(signature(function).parameters)
    return jax.jit(function, static_argnames=tuple(static), donate_argnames=updated)


def forward(
    layer: Layer, weights: Any, arrays: StepArrays, features: NodeFeatures | None,
    outputs: jax.Array, buffers: LayerBuffers, *, capacity: Capacity,
) -> tuple[LayerBuffers, jax.Array]:  # fmt: skip
    """Run a layer forward; return its features and saved activations, and the outputs so far."""

    def body(k: jax.Array, carry: tuple[LayerBuffers, jax.Array]) -> tuple[LayerBuffers, jax.Array]:
        buffers, outputs = carry
        chunk = chunk_at(arrays, k, capacity.chunk_atoms, capacity.chunk_pairs)
        results, saved = layer.forward(weights, arrays, chunk, features, buffers.saved)
        rows = results.skip, results.sent
        made = NodeFeatures(*jax.tree.map(chunk.put_atoms, tuple(buffers.features), rows))
        return LayerBuffers(made, saved), added(outputs, chunk, results.outputs)

    return jax.lax.fori_loop(0, arrays.n_chunks, body, (buffers, outputs))


def forward_and_backward(
    layer: Layer, scale: float, weights: Any, arrays: StepArrays, features: NodeFeatures | None,
    outputs: jax.Array, zero: jax.Array | None, *, capacity: Capacity,
) -> tuple[jax.Array, Gradients]:  # fmt: skip
    """Run the last layer; return all outputs, and the gradients of this layer."""

    def body(k: jax.Array, carry: Any) -> Any:
        outputs, gradients = carry
        chunk = chunk_at(arrays, k, capacity.chunk_atoms, capacity.chunk_pairs)
        results, vjp = layer.vjp(weights, arrays, chunk, features, None)
        adjoint = output_adjoint(results.outputs, chunk, scale, None)
        gradients = vjp(Results(None, None, adjoint), gradients)
        return added(outputs, chunk, results.outputs), gradients

    start = outputs, Gradients(*_zeros((arrays.vectors, features), zero))
    return jax.lax.fori_loop(0, arrays.n_chunks, body, start)


def backward(
    layer: Layer, scale: float, weights: Any, arrays: StepArrays, features: NodeFeatures | None,
    saved: Saved, above: NodeFeatures, gradient: jax.Array, zero: jax.Array | None,
    charge_adjoint: jax.Array | None, *, capacity: Capacity,
) -> Gradients:  # fmt: skip
    """Return the gradients that follow from the adjoints ``above`` of a layer's features.

    Args:
        gradient: dE/d vectors of the layers behind this one.
        zero: see :class:`lammps_mace.engine.ghost_exchange.GhostExchange`.
        charge_adjoint: [slots], dE/d charges as the network predicts them; None: 0.
    """

    def body(k: jax.Array, gradients: Gradients) -> Gradients:
        chunk = chunk_at(arrays, k, capacity.chunk_atoms, capacity.chunk_pairs)
        results, vjp = layer.vjp(weights, arrays, chunk, features, saved)
        # After the layer has read its saved activations and its skip features.
        skip, sent = jax.tree.map(chunk.later().later().atoms, tuple(above))
        adjoint = output_adjoint(results.outputs, chunk, scale, charge_adjoint)
        return vjp(Results(skip, sent, adjoint), gradients)

    start = Gradients(gradient, _zeros(features, zero))
    return jax.lax.fori_loop(0, arrays.n_chunks, body, start)


def _zeros(like: Any, zero: jax.Array | None) -> Any:
    """Return zeros of the same shapes, made once there is a ``zero`` to fill them with."""
    return jax.tree.map(lambda x: jnp.full_like(x, 0 if zero is None else zero), like)


def output_adjoint(
    outputs: jax.Array, chunk: Chunk, scale: float, charge_adjoint: jax.Array | None
) -> jax.Array:
    """Return the adjoint of a chunk's outputs, energies and perhaps charges."""
    # The network's energies are multiplied by the scale before they are eV.
    energies = jnp.where(chunk.energy_mask, scale, 0.0).astype(outputs.dtype)
    charges = jnp.zeros_like(energies) if charge_adjoint is None else chunk.atoms(charge_adjoint)
    return jnp.stack([energies, charges], axis=1)[:, : outputs.shape[1]]


def added(outputs: jax.Array, chunk: Chunk, rows: jax.Array) -> jax.Array:
    """Return the outputs with a chunk's rows added."""
    return chunk.put_atoms(outputs, chunk.atoms(outputs) + rows)
