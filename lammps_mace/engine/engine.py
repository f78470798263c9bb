"""The engine: energy and gradient layer by layer, in chunks of atoms, around ghost exchanges."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.engine.charges import charge_use, constrain_charges
from lammps_mace.engine.chunks import (
    CPU_CHUNKS,
    GPU_CHUNKS,
    Arrangement,
    Capacity,
    Frame,
    HostPairRows,
    arrange,
    padded,
)
from lammps_mace.engine.device_pairs import DeviceGhosts, DevicePairRows
from lammps_mace.engine.ghost_exchange import Ghosts, GhostsBetween, GhostsWithin
from lammps_mace.engine.interface import DomainGraph, Exchange, Prediction
from lammps_mace.engine.layer import Gradients, Layer, NodeFeatures, numbers_per_slot
from lammps_mace.engine.loops import LayerBuffers, Passes, jitted
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.kernels import NO_EXCHANGE_HANDLE, read_timing
from lammps_mace.lowering.lower import lower
from lammps_mace.modelfile import Model
from lammps_mace.models.mlip.mace import atomic_energy_table

# What an inner layer notes for its backward pass may take this much; beyond, it is computed again.
_MEMO_BYTES = 2**31
# One program takes the adjoints of what is sent in one piece, new in every step; beyond this size
# the C library finds no free piece again, and what one program saves is too little to see.
_WHOLE_BYTES = 2**26
COMPILING = "compiling"  # the stage of whole steps in which something was compiled


class Engine:
    """Evaluates one model on one rank.

    The model is cut at the layer boundaries. Inner layers run forward, and backward on the way
    back; the last layer runs forward and backward at once. Every loop streams over chunks of
    atoms, so memory holds the features at the boundaries and one chunk. With a Coulomb sum all
    charges must be known before any gradient: the last layer is then run like the inner ones.

    On a CPU a step is one program of XLA, which exchanges ghosts itself: with one for each pass, a
    step of 200 atoms takes 3 % longer. It is one for each pass with charges, on a GPU, and where
    exchanges are Python's, or XLA makes them in other threads than its caller's: MPI may forbid it;
    and for more than some 25,000 atoms, of which one program would take more memory.

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
        self._weights = [layer.weights for layer in self.layers]
        self._traced = Passes.of(self.layers, self._scale, at_once)
        self._passes = self._traced.jitted()
        self._whole = jitted(self._trace, "rooms")
        self._is_whole = self._on_cpu and self._charge_use is None
        # Does it go on in other threads? None: to be seen.
        self._strays: bool | None = None if lowered.single_threaded else True
        self._rooms: list[LayerBuffers] = []

    @cached_property
    def exchange_widths(self) -> tuple[int, ...]:
        """Numbers per atom in each forward exchange of a step, in order."""
        return tuple(math.prod(layer.sent_shape) for layer in self.layers if layer.sent_shape)

    @property
    def compilations(self) -> dict[str, int]:
        """How often each jitted function was compiled; those that were."""
        functions: dict[str, Any] = {"step": self._whole, **self._passes.named}
        return {name: n for name, f in functions.items() if (n := f._cache_size())}

    def start_counting(self) -> None:
        """Forget the steps that compiled nothing, and the seconds of each stage."""
        self.steps = 0
        self._since = 0.0  # start of the present stage
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def evaluate(
        self, graph: DomainGraph, exchange: Exchange, out: np.ndarray | None = None
    ) -> Prediction:
        """Return energies and pair gradients; every rank calls this together.

        Args:
            out: write the pair gradients there; only for pairs on the host.
        """
        self.steps += 1
        self._since = time.perf_counter()
        compiled, before = self.compilations, dict(self.seconds)
        arrangement = arrange(graph, self.capacity, self._chunk_rule, self._frame)
        self._frame = arrangement.frame
        if arrangement.capacity != self.capacity:
            self.capacity, self._rooms = arrangement.capacity, []
        self._rooms = self._rooms or self._new_rooms()
        kind = DevicePairRows if graph.on_gpu else HostPairRows
        pairs = kind(arrangement, self.dtype, self.cutoff)
        arrays = padded(arrangement, pairs)
        if not self._on_cpu:
            arrays = jax.device_put(arrays)  # once for all functions
        self._end("neighbour data")
        ghosts = (DeviceGhosts if graph.on_gpu else GhostsBetween)(arrangement, exchange)
        outputs, gradient, charges = self._run_step(arrays, ghosts)
        energies = self._energies(arrangement, outputs)
        prediction = Prediction(energies, pairs.gradient(gradient, out), charges)
        self._end("forces")
        if self.compilations != compiled:
            self._count_as_compiling(before)
        return prediction

    def _run_step(
        self, arrays: StepArrays, ghosts: GhostsBetween
    ) -> tuple[jax.Array, jax.Array, np.ndarray | None]:
        """Return outputs [slots, n_outputs], dE/d vectors [pairs, 3], charges [n_local]."""
        exchange_handle, charges = self._exchange_handle(ghosts), None
        # Lent: a step that fails does not give them back.
        rooms, self._rooms = self._rooms, []
        if (
            exchange_handle is not None
            and exchange_handle is not NO_EXCHANGE_HANDLE
            and self._strays is None
        ):
            rooms = self._rehearse(arrays, rooms)
            exchange_handle = None if self._strays else exchange_handle
        if exchange_handle is None:
            outputs, gradient, self._rooms, charges = self._run(
                self._passes, arrays, self._weights, rooms, ghosts, self.capacity, self._end
            )
        else:
            outputs, gradient, self._rooms = self._run_whole(arrays, rooms, exchange_handle)
        return outputs, gradient, charges

    def _exchange_handle(self, ghosts: GhostsBetween) -> np.ndarray | None:
        """Return what one program for the whole step needs to exchange; None: it cannot."""
        sent_bytes = self.capacity.rows * sum(self.exchange_widths) * self.dtype.itemsize
        if not self._is_whole or sent_bytes > _WHOLE_BYTES:
            return None
        at = ghosts.arrangement
        if at.graph.one_domain:
            return NO_EXCHANGE_HANDLE
        return (
            None
            if self._strays
            else ghosts.exchange.exchange_handle(at.frame.rows, self.capacity.rows)
        )

    def _rehearse(self, arrays: StepArrays, rooms: list[LayerBuffers]) -> list[LayerBuffers]:
        """Run a short step that exchanges nothing, to see in which threads; return the rooms."""
        n_chunks = jax.device_put(np.int32(min(int(arrays.n_chunks), 2)))
        return self._run_whole(replace(arrays, n_chunks=n_chunks), rooms, NO_EXCHANGE_HANDLE)[2]

    def _run_whole(
        self, arrays: StepArrays, rooms: list[LayerBuffers], exchange_handle: np.ndarray
    ) -> tuple[jax.Array, jax.Array, list[LayerBuffers]]:
        """Run a step as one program; return outputs, gradient and rooms as :meth:`_run`."""
        outputs, gradient, rooms, words = self._whole(
            arrays, self._weights, rooms, exchange_handle, capacity=self.capacity
        )
        gradient.block_until_ready()
        n, timings = len(rooms), [read_timing(x) for x in words]
        stages = ["forward"] * n + ["last layer"] + ["backward"] * n
        for stage, timing in zip(stages, timings, strict=False):
            self._count(stage, timing.entered)
            self._count("exchange", timing.left)
        self._end(stages[-1])
        here = threading.get_native_id()
        self._strays = bool(self._strays) or any(p.thread != here for p in timings)
        return outputs, gradient, rooms

    def _trace(
        self, arrays: StepArrays, weights: list[Any], rooms: list[LayerBuffers],
        exchange_handle: jax.Array, *, capacity: Capacity,
    ) -> tuple[jax.Array, jax.Array, list[LayerBuffers], list[jax.Array]]:  # fmt: skip
        ghosts = GhostsWithin(exchange_handle)
        outputs, gradient, rooms, _ = self._run(
            self._traced, arrays, weights, rooms, ghosts, capacity, lambda stage, result=None: None
        )
        return outputs, gradient, rooms, ghosts.timings

    def _run(
        self, passes: Passes, arrays: StepArrays, weights: list[Any], rooms: list[LayerBuffers],
        ghosts: Ghosts, capacity: Capacity, end: Callable[..., None],
    ) -> tuple[jax.Array, jax.Array, list[LayerBuffers], np.ndarray | None]:  # fmt: skip
        """Return outputs [slots, n_outputs], dE/d vectors [pairs, 3], rooms, charges [n_local].

        Args:
            end: is told when a stage has ended, and its result.
        """
        size = {"capacity": capacity}
        # The first layer reads its features from a table of species: an empty features.
        states: list[Any] = [None]
        made: list[LayerBuffers] = []
        charges = charge_adjoint = None
        outputs = jnp.zeros((capacity.slots, self._n_outputs), self.dtype)
        for forward, weight, room in zip(passes.forward, weights, rooms, strict=False):
            room, outputs = forward(weight, arrays, states[-1], outputs, room, **size)
            end("forward", outputs)
            states.append(ghosts.fetch_state(room.features))
            made.append(LayerBuffers(states[-1], room.saved))
            end("exchange")
        if passes.last is None:
            charges, charge_adjoint = self._constrain_charges(ghosts, outputs)
            gradients = Gradients(jnp.zeros_like(arrays.vectors), states.pop())
        else:
            features = states.pop()
            outputs, gradients = passes.last(
                weights[-1], arrays, features, outputs, ghosts.zero, **size
            )
            end("last layer", outputs)
            if self._charge_use is not None:
                charges, _ = self._constrain_charges(ghosts, outputs)
        for i in reversed(range(len(passes.backward))):
            above = ghosts.give_back_state(gradients.features)
            end("exchange")
            gradients = passes.backward[i](
                weights[i], arrays, states.pop(), made[i].saved, above, gradients.vectors,
                ghosts.zero, charge_adjoint, **size,
            )  # fmt: skip
            end("backward", gradients.vectors)
        return outputs, gradients.vectors, made, charges

    def _new_rooms(self) -> list[LayerBuffers]:
        return [self._new_room(layer) for layer in self.layers[: len(self._passes.forward)]]

    def _new_room(self, layer: Layer) -> LayerBuffers:
        """Return memory for what a layer makes."""
        slots, rows = self.capacity.slots, self.capacity.rows

        def zeros(n_rows: int, shape: tuple[int, int] | None) -> Any:
            return None if shape is None else jnp.zeros((n_rows, *shape), self.dtype)

        features = NodeFeatures(zeros(slots, layer.skip_shape), zeros(rows, layer.sent_shape))
        size = slots * numbers_per_slot(layer.saved_shapes) * self.dtype.itemsize
        if size > _MEMO_BYTES:
            return LayerBuffers(features, None)
        return LayerBuffers(features, tuple(zeros(slots, shape) for shape in layer.saved_shapes))

    def _constrain_charges(
        self, ghosts: Ghosts, outputs: jax.Array
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the charges [n_local], and the adjoint [slots] of the network's output."""
        assert self._charge_use is not None
        assert isinstance(ghosts, GhostsBetween)
        at = ghosts.arrangement
        raw = at.frame.from_slots(np.asarray(outputs)[:, 1])
        species = at.graph.species[: len(raw)]
        charges, gradient = constrain_charges(raw, species, self._charge_use, ghosts.exchange)
        adjoint = at.frame.to_slots(gradient.astype(self.dtype))
        self._end("charges")
        return charges, adjoint

    def _energies(self, arrangement: Arrangement, outputs: jax.Array) -> np.ndarray:
        graph = arrangement.graph
        species = graph.species[: graph.n_local]
        network = arrangement.frame.from_slots(np.asarray(outputs)[:, 0]).astype(np.float64)
        energies = network * self._scale + self._shifts[species]
        return energies if graph.energy_mask is None else np.where(graph.energy_mask, energies, 0.0)

    def _end(self, stage: str, result: jax.Array | None = None) -> None:
        """Add to the stage what passed since the one before it, up to its result."""
        if result is not None:
            result.block_until_ready()
        self._count(stage, time.perf_counter())

    def _count_as_compiling(self, before: Mapping[str, float]) -> None:
        """Set a step apart from the others: most of its time was not a step's."""
        spent = sum(self.seconds.values()) - sum(before.values())
        self.seconds = defaultdict(float, before)
        self.seconds[COMPILING] += spent
        self.steps -= 1

    def _count(self, stage: str, now: float) -> None:
        self.seconds[stage] += now - self._since
        self._since = now


def _scale_and_shifts(model: Model) -> tuple[float, np.ndarray]:
    """Return what makes eV of the network's energy: a factor, and float64 [n_species + 1].

    Species -1, not part of the model, reads the last: 0, as its network energy is.
    """
    info, n_species = model.dataset_info, len(model.dataset_info.atomic_numbers)
    isolated = np.zeros(n_species)
    if model.config.add_atomic_energies:
        isolated += np.array(atomic_energy_table(info, model.head))
    return float(info.scaling_stdev), np.append(isolated + info.scaling_mean, 0.0)
