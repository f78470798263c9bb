"""FusedStep: a step as one program, which exchanges ghosts itself, on a CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from lammps_mace.engine.buffers import BufferPool, LayerBuffers
from lammps_mace.engine.capacity import Capacity
from lammps_mace.engine.ghost_exchange import InProgramExchange
from lammps_mace.engine.interface import CompiledExchange
from lammps_mace.engine.lowered_model import LoweredModel
from lammps_mace.engine.passes import Passes
from lammps_mace.engine.stage_clock import StageClock
from lammps_mace.engine.step import StepResult, StepSequence, ignore_stage
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.engine.step_layout import StepLayout
from lammps_mace.kernels import NO_EXCHANGE_HANDLE, read_timings


class FusedStep:
    """Runs a whole step of a model without charges as one program.

    Args:
        model: what to evaluate.
        buffers: of its inner layers.
        clock: is told when a stage ends.
        jit: compiles the program, as :func:`lammps_mace.engine.passes.jitted`.

    Attributes:
        uses_other_threads: whether XLA ran an exchange of some step in another thread than the one
            that called it; None before that is known.
    """

    def __init__(
        self, model: LoweredModel, buffers: BufferPool, clock: StageClock, jit: Callable[..., Any]
    ) -> None:
        self._model, self._buffers, self._clock = model, buffers, clock
        # As JAX hands them on: it takes a tree of weights apart in every call.
        self._weights, self._weight_tree = jax.tree.flatten(
            [layer.weights for layer in model.layers]
        )
        self._passes = Passes.of(model)
        self._row_bytes = sum(model.exchange_widths) * model.dtype.itemsize
        self._program = jit(self._trace, "buffers")
        self.uses_other_threads = None if model.single_threaded else True

    @property
    def programs(self) -> dict[str, Any]:
        """The jitted function by name."""
        return {"step": self._program}

    def run(self, layout: StepLayout, arrays: StepArrays, exchange: CompiledExchange) -> StepResult:
        """Return the result of a step; every rank calls this together.

        Raises:
            ValueError: only Python can exchange.
        """
        handle = self.handle(layout, exchange)
        if handle is None:
            raise ValueError("exchange: it has no handle for a fused step; use StepwiseStep")
        return self._run(arrays, handle, layout.capacity)

    @staticmethod
    def handle(layout: StepLayout, exchange: CompiledExchange) -> np.ndarray | None:
        """Return what the program needs to exchange ghosts itself; None: it cannot."""
        if layout.graph.one_domain:
            return NO_EXCHANGE_HANDLE
        return exchange.exchange_handle(layout.atoms.row_index, layout.capacity.rows)

    def probe_threads(self, arrays: StepArrays, capacity: Capacity) -> None:
        """Run at most two chunks without any exchange, to learn ``uses_other_threads``."""
        n_chunks = jax.device_put(np.int32(min(int(arrays.n_chunks), 2)))
        self._run(replace(arrays, n_chunks=n_chunks), NO_EXCHANGE_HANDLE, capacity)

    def sent_bytes(self, capacity: Capacity) -> int:
        """Return the size of the features that atoms send, of all layers together."""
        return capacity.rows * self._row_bytes

    def _run(self, arrays: StepArrays, handle: np.ndarray, capacity: Capacity) -> StepResult:
        buffers = self._buffers.take(capacity)
        n_inner = len(buffers)
        outputs, gradient, buffers, timings = self._program(
            arrays, self._weights, buffers, handle, capacity=capacity
        )
        gradient.block_until_ready()
        self._buffers.put_back(buffers)
        self._tell(n_inner, timings)
        return StepResult(outputs, gradient, None)

    def _tell(self, n_inner: int, timing_words: jax.Array) -> None:
        """Tell the clock when the stages ended; see in which threads the exchanges ran."""
        here, elsewhere = threading.get_native_id(), bool(self.uses_other_threads)
        stages = ["forward"] * n_inner + ["last layer"] + ["backward"] * n_inner
        for stage, timing in zip(stages, read_timings(timing_words), strict=False):
            self._clock.end_at(stage, timing.entered)
            self._clock.end_at("exchange", timing.left)
            elsewhere |= timing.thread != here
        self._clock.end(stages[-1])
        self.uses_other_threads = elsewhere

    def _trace(
        self, arrays: StepArrays, flat_weights: list[Any], buffers: list[LayerBuffers],
        handle: jax.Array, *, capacity: Capacity,
    ) -> tuple[jax.Array, jax.Array, list[LayerBuffers], jax.Array]:  # fmt: skip
        weights = jax.tree.unflatten(self._weight_tree, flat_weights)
        ghosts = InProgramExchange(handle)
        sequence = StepSequence(
            self._passes, self._model.n_outputs, capacity, ghosts, ignore_stage, None
        )  # fmt: skip
        result, buffers = sequence.run(arrays, weights, buffers)
        return result.outputs, result.gradient, buffers, ghosts.timings
