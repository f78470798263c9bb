"""The engine: energy and gradient layer by layer, in chunks of atoms, around ghost exchanges."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.coupling.charges import charge_use, settle
from lammps_mace.coupling.neighbors import Exchange, Neighbors, Prediction
from lammps_mace.inference.chunks import (
    CPU_CHUNKS,
    GPU_CHUNKS,
    Arrangement,
    Capacity,
    Chunk,
    Frame,
    HostPairRows,
    Inputs,
    arrange,
    cut,
    padded,
)
from lammps_mace.inference.device import DeviceGhosts, DevicePairRows
from lammps_mace.inference.ghosts import Ghosts
from lammps_mace.inference.layers import Layer, Memo, Results, State, Sums, memo_numbers
from lammps_mace.inference.lowering import lower
from lammps_mace.model.mace import atomic_energy_table
from lammps_mace.modelfile import Model

# What an inner layer notes for its backward pass may take this much; beyond, it is computed again.
_MEMO_BYTES = 2**31


class Room(NamedTuple):
    """Memory for what a layer makes, the same in every step: its rows are written anew.

    Rows that no atom has keep what they held; nothing reads them.

    Attributes:
        state: that the layer makes.
        memo: that it notes, or None.
    """

    state: State
    memo: Memo


class Engine:
    """Evaluates one model on one rank.

    The model is cut at the layer boundaries. Inner layers run forward, and backward on the way
    back; the last layer runs forward and backward at once. Every loop streams over chunks of
    atoms, so memory holds the features at the boundaries and one chunk. With a Coulomb sum all
    charges must be known before any gradient: the last layer is then run like the inner ones.

    Args:
        model: what to evaluate.
        plain: run the network as it is defined, without the fast kernels; a reference.
        backend: of the kernels, "cpu", "gpu" or "xla"; None chooses for the device in use.
    """

    def __init__(self, model: Model, plain: bool = False, backend: str | None = None) -> None:
        self.model = model
        self.cutoff = model.dataset_info.graph_cutoff_angstrom
        self.dtype = np.dtype(model.dtype)
        self.capacity = Capacity()
        self._frame: Frame | None = None  # of the last step
        self.start_counting()
        lowered = lower(model, plain, backend)
        self._on_cpu = jax.default_backend() == "cpu"
        self._chunk_rule = CPU_CHUNKS if self._on_cpu else GPU_CHUNKS
        self.layers = lowered.layers
        self.how = lowered.how
        self._n_outputs = 2 if model.config.predict_partial_charges else 1
        self._scale, self._shifts = _scale_and_shifts(model)
        self._charge_use = charge_use(model)
        at_once = self._charge_use is None or not self._charge_use.cutoff_angstrom
        inner = self.layers[:-1] if at_once else self.layers
        last, scale = self.layers[-1], self._scale
        self._forward = [_jitted(partial(_forward, layer), "outputs", "room") for layer in inner]
        self._backward = [_jitted(partial(_backward, layer, scale), "gradient") for layer in inner]
        fused = _jitted(partial(_forward_and_backward, last, scale), "outputs")
        self._last = fused if at_once else None
        self._rooms: list[Room] = []

    @property
    def exchange_widths(self) -> tuple[int, ...]:
        """Numbers per atom in each forward exchange of a step, in order."""
        return tuple(math.prod(layer.sent_shape) for layer in self.layers if layer.sent_shape)

    @property
    def compilations(self) -> dict[str, int]:
        """How often each jitted function was compiled."""
        functions = {f"forward {i + 1}": f for i, f in enumerate(self._forward)}
        functions |= {f"backward {i + 1}": f for i, f in enumerate(self._backward)}
        functions |= {} if self._last is None else {"last layer": self._last}
        return {name: f._cache_size() for name, f in functions.items()}

    def start_counting(self) -> None:
        """Forget the steps and the seconds of each stage."""
        self.steps = 0
        self._since = 0.0  # start of the present stage
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def evaluate(
        self, neighbors: Neighbors, exchange: Exchange, out: np.ndarray | None = None
    ) -> Prediction:
        """Return energies and pair gradients; every rank calls this together.

        Args:
            out: write the pair gradients there; only for pairs on the host.
        """
        self.steps += 1
        self._since = time.perf_counter()
        arrangement = arrange(neighbors, self.capacity, self._chunk_rule, self._frame)
        self._frame = arrangement.frame
        if arrangement.capacity != self.capacity:
            self.capacity = arrangement.capacity
            self._rooms = [self._new_room(layer) for layer in self.layers[: len(self._forward)]]
        kind = DevicePairRows if neighbors.on_gpu else HostPairRows
        pairs = kind(arrangement, self.dtype, self.cutoff)
        inputs = padded(arrangement, pairs)
        if not self._on_cpu:
            inputs = jax.device_put(inputs)  # once for all functions
        ghosts = (DeviceGhosts if neighbors.on_gpu else Ghosts)(arrangement, exchange)
        self._end("neighbour data")
        outputs, gradient, charges = self._run(inputs, ghosts)
        energies = self._energies(arrangement, outputs)
        prediction = Prediction(energies, pairs.gradient(gradient, out), charges)
        self._end("forces")
        return prediction

    def _run(
        self, inputs: Inputs, ghosts: Ghosts
    ) -> tuple[jax.Array, jax.Array, np.ndarray | None]:
        """Return outputs [slots, n_outputs], dE/d vectors [pairs, 3], charges [n_local]."""
        size = {"capacity": self.capacity}
        # The first layer reads its features from a table of species: an empty state.
        states: list[Any] = [None]
        charges = None
        outputs: Any = np.zeros((self.capacity.slots, self._n_outputs), self.dtype)
        for i, (forward, layer) in enumerate(zip(self._forward, self.layers, strict=False)):
            self._rooms[i], outputs = forward(
                layer.weights, inputs, states[-1], outputs, self._rooms[i], **size
            )
            self._end("forward", outputs)
            states.append(ghosts.fetch_state(self._rooms[i].state))
            self._end("exchange")
        charge_adjoint = None
        if self._last is None:
            charges, charge_adjoint = self._settle(ghosts, outputs)
            sums = Sums(jnp.zeros_like(inputs.vectors), states.pop())
        else:
            weights = self.layers[-1].weights
            outputs, sums = self._last(weights, inputs, states.pop(), outputs, **size)
            self._end("last layer", outputs)
            if self._charge_use is not None:
                charges, _ = self._settle(ghosts, outputs)
        for i in reversed(range(len(self._backward))):
            above = ghosts.give_back_state(sums.adjoint)
            self._end("exchange")
            sums = self._backward[i](
                self.layers[i].weights, inputs, states.pop(), self._rooms[i].memo, above,
                sums.gradient, charge_adjoint, **size,
            )  # fmt: skip
            self._end("backward", sums.gradient)
        return outputs, sums.gradient, charges

    def _new_room(self, layer: Layer) -> Room:
        """Return memory for what a layer makes."""
        slots, rows = self.capacity.slots, self.capacity.rows

        def zeros(n_rows: int, shape: tuple[int, int] | None) -> Any:
            return None if shape is None else jnp.zeros((n_rows, *shape), self.dtype)

        state = State(zeros(slots, layer.kept_shape), zeros(rows, layer.sent_shape))
        size = slots * memo_numbers(layer.memo_shapes) * self.dtype.itemsize
        if size > _MEMO_BYTES:
            return Room(state, None)
        return Room(state, tuple(zeros(slots, shape) for shape in layer.memo_shapes))

    def _settle(self, ghosts: Ghosts, outputs: jax.Array) -> tuple[np.ndarray, np.ndarray]:
        """Return the charges [n_local], and the adjoint [slots] of the network's output."""
        assert self._charge_use is not None
        at = ghosts.arrangement
        raw = at.frame.from_slots(np.asarray(outputs)[:, 1])
        species = at.neighbors.species[: len(raw)]
        charges, gradient = settle(raw, species, self._charge_use, ghosts.exchange)
        adjoint = at.frame.to_slots(gradient.astype(self.dtype))
        self._end("charges")
        return charges, adjoint

    def _energies(self, arrangement: Arrangement, outputs: jax.Array) -> np.ndarray:
        neighbors = arrangement.neighbors
        species = neighbors.species[: neighbors.n_local]
        network = arrangement.frame.from_slots(np.asarray(outputs)[:, 0]).astype(np.float64)
        energies = network * self._scale + self._shifts[species]
        return energies if neighbors.counted is None else np.where(neighbors.counted, energies, 0.0)

    def _end(self, stage: str, result: jax.Array | None = None) -> None:
        """Add to the stage what passed since the one before it, up to its result."""
        if result is not None:
            result.block_until_ready()
        now = time.perf_counter()
        self.seconds[stage] += now - self._since
        self._since = now


def _jitted(function: Any, *updated: str) -> Any:
    """Compile a function of a layer; arguments ``updated`` lend their memory to the results."""
    return jax.jit(function, static_argnames="capacity", donate_argnames=updated)


def _forward(
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


def _forward_and_backward(
    layer: Layer, scale: float, weights: Any, inputs: Inputs, state: State | None,
    outputs: jax.Array, *, capacity: Capacity,
) -> tuple[jax.Array, Sums]:  # fmt: skip
    """Run the last layer; return all outputs, and the sums of the backward pass so far."""

    def body(k: jax.Array, carry: Any) -> Any:
        outputs, sums = carry
        chunk = cut(inputs, k, capacity.chunk_atoms, capacity.chunk_pairs)
        results, pull = layer.linearize(weights, inputs, chunk, state, None)
        adjoint = _output_adjoint(results.outputs, chunk, scale, None)
        sums = pull(Results(None, None, adjoint), sums)
        return _added(outputs, chunk, results.outputs), sums

    start = outputs, Sums(jnp.zeros_like(inputs.vectors), jax.tree.map(jnp.zeros_like, state))
    return jax.lax.fori_loop(0, inputs.n_chunks, body, start)


def _backward(
    layer: Layer, scale: float, weights: Any, inputs: Inputs, state: State | None, memo: Memo,
    above: State, gradient: jax.Array, charge_adjoint: jax.Array | None, *, capacity: Capacity,
) -> Sums:  # fmt: skip
    """Pull the adjoints of a layer's results, ``above``, back to its pairs and state."""

    def body(k: jax.Array, sums: Sums) -> Sums:
        chunk = cut(inputs, k, capacity.chunk_atoms, capacity.chunk_pairs)
        results, pull = layer.linearize(weights, inputs, chunk, state, memo)
        # After the layer has read its memo and what it kept.
        kept, sent = jax.tree.map(chunk.later().later().atoms, tuple(above))
        adjoint = _output_adjoint(results.outputs, chunk, scale, charge_adjoint)
        return pull(Results(kept, sent, adjoint), sums)

    start = Sums(gradient, jax.tree.map(jnp.zeros_like, state))
    return jax.lax.fori_loop(0, inputs.n_chunks, body, start)


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


def _scale_and_shifts(model: Model) -> tuple[float, np.ndarray]:
    """Return what makes eV of the network's energy: a factor, and float64 [n_species + 1].

    Species -1, not part of the model, reads the last: 0, as its network energy is.
    """
    info, n_species = model.dataset_info, len(model.dataset_info.atomic_numbers)
    isolated = np.zeros(n_species)
    if model.config.add_atomic_energies:
        isolated += np.array(atomic_energy_table(info, model.head))
    return float(info.scaling_stdev), np.append(isolated + info.scaling_mean, 0.0)
