"""Engine: energy and gradient of one rank's atoms, layer by layer, in chunks of atoms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from lammps_mace.engine.buffers import BufferPool
from lammps_mace.engine.capacity import CPU_CHUNKS, GPU_CHUNKS, Capacity, ChunkRule
from lammps_mace.engine.centroid_step import CentroidStep
from lammps_mace.engine.device_step import DeviceStep
from lammps_mace.engine.fused_step import FusedStep
from lammps_mace.engine.interface import DomainGraph, Exchange, Prediction
from lammps_mace.engine.listed_graph import AtomPrediction, ListedGraph
from lammps_mace.engine.lowered_model import LoweredModel
from lammps_mace.engine.packing import Packer
from lammps_mace.engine.passes import jitted
from lammps_mace.engine.stage_clock import COMPILING, StageClock
from lammps_mace.engine.step import StepRunner, node_energies
from lammps_mace.engine.step_choice import choose_step
from lammps_mace.engine.stepwise import StepwiseStep
from lammps_mace.engine.transfers import Transfers
from lammps_mace.runtime.precision import full_precision


@dataclass(frozen=True)
class EngineOptions:
    """What may be changed in an engine; the defaults are what LAMMPS runs.

    Attributes:
        chunk_rule: chooses the size of chunks; None: the rule of the device in use.
        saved_bytes: a layer whose saved activations would take more than this saves none.
        choose_step: chooses between the two ways to run a step.
        jit: compiles a function; who looks at programs wraps it.
    """

    chunk_rule: ChunkRule | None = None
    saved_bytes: int = 2**31
    choose_step: Callable[..., StepRunner] = choose_step
    jit: Callable[..., Any] = jitted


DEFAULT_OPTIONS = EngineOptions()


class Engine:
    """Evaluates one model on one rank.

    The model is cut between its layers. Inner layers run forward, and backward on the way back; the
    last layer runs forward and backward at once. Every pass loops over chunks of atoms, so memory
    holds the features between the layers and one chunk.

    Args:
        model: what to evaluate.
        options: for tests and for those who look inside.

    Attributes:
        clock: where the time went.
        buffers: memory of the inner layers.
        transfers: how much went between host and device where a list stays there.
    """

    @full_precision()
    def __init__(self, model: LoweredModel, options: EngineOptions = DEFAULT_OPTIONS) -> None:
        self.model = model
        self.clock = StageClock()
        self._choose_step = options.choose_step
        self._on_cpu = jax.default_backend() == "cpu"
        self._chunk_rule = options.chunk_rule or (CPU_CHUNKS if self._on_cpu else GPU_CHUNKS)
        self._packer = Packer(
            model.dtype, model.cutoff_angstrom, self._chunk_rule, self._on_cpu
        )  # fmt: skip
        inner = model.layers[: model.n_inner_layers]
        self.buffers = BufferPool(inner, model.dtype, options.saved_bytes)
        self.transfers = Transfers()
        parts = model, self.buffers, self.clock
        self._stepwise = StepwiseStep(*parts, self.transfers, options.jit)
        can_fuse = self._on_cpu and model.charges is None
        self._fused = FusedStep(*parts, options.jit) if can_fuse else None
        # It has more rows: buffers of its own, made when it is first asked for.
        pool = BufferPool(inner, model.dtype, options.saved_bytes)
        self._centroid = CentroidStep(model, pool, self.clock, self._chunk_rule, options.jit)
        self._device = DeviceStep(
            *parts, self._stepwise, self._chunk_rule, self.transfers, options.jit
        )
        self._programs = {
            **(self._fused.programs if self._fused else {}),
            **self._stepwise.programs,
            **self._centroid.programs,
            **self._device.programs,
        }
        self._compiled = 0  # programs, after the last step

    @property
    def capacity(self) -> Capacity:
        """Sizes of the padded arrays."""
        return self._packer.capacity

    @property
    def compilations(self) -> dict[str, int]:
        """How often each jitted function was compiled; those that were."""
        return {name: n for name, f in self._programs.items() if (n := f._cache_size())}

    @full_precision()
    def evaluate(
        self, graph: DomainGraph, exchange: Exchange, out: np.ndarray | None = None
    ) -> Prediction:
        """Return energies and pair gradients; every rank calls this together.

        Args:
            out: write the pair gradients there; only for pairs on the host.

        Raises:
            ValueError: ``out`` is given for pairs on a GPU.
        """
        if out is not None and graph.on_gpu:
            raise ValueError("out: gradients of pairs on a GPU are made there; give None")
        with self._timed():
            if graph.positions is None:
                return self._predict(graph, exchange, out)
            return self._centroid.run(graph, exchange, out)

    @full_precision()
    def evaluate_list(self, graph: ListedGraph, exchange: Exchange) -> AtomPrediction:
        """Return energies and forces of a list that stays on the device; every rank calls this."""
        with self._timed():
            return self._device.run(graph, exchange)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Count a step, apart where something was compiled in it."""
        self.clock.begin_step()
        yield
        self.clock.end("forces")
        if (compiled := self._count_compiled()) != self._compiled:
            self.clock.set_step_apart(COMPILING)
        self._compiled = compiled

    def _predict(
        self, graph: DomainGraph, exchange: Exchange, out: np.ndarray | None
    ) -> Prediction:
        packing = self._packer.pack(graph)
        layout, arrays = packing.layout, packing.arrays
        self.clock.end("neighbour data")
        step = self._choose_step(self._fused, self._stepwise, layout, arrays, exchange)
        result = step.run(layout, arrays, exchange)
        energies = node_energies(self.model, layout, result.outputs)
        gradient = packing.pairs.unpack_gradient(result.gradient, out)
        return Prediction(energies, gradient, result.charges)

    def _count_compiled(self) -> int:
        return sum(program._cache_size() for program in self._programs.values())
