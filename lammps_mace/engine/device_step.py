"""DeviceStep: a step whose neighbour list is on the device: positions go up, forces come down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.engine.buffers import BufferPool, LayerBuffers
from lammps_mace.engine.capacity import Capacity, ChunkRule
from lammps_mace.engine.device_list import DeviceList, ListArrays, ListSizes
from lammps_mace.engine.ghost_exchange import OneDomain
from lammps_mace.engine.interface import Exchange
from lammps_mace.engine.listed_graph import AtomPrediction, ListedGraph
from lammps_mace.engine.listed_pairs import SelectedPairs, row_virials, select_pairs, sum_pairs
from lammps_mace.engine.lowered_model import LoweredModel
from lammps_mace.engine.packed_exchange import PackedExchange
from lammps_mace.engine.passes import Passes
from lammps_mace.engine.stage_clock import StageClock
from lammps_mace.engine.step import StepSequence, ignore_stage
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.engine.step_layout import lay_out
from lammps_mace.engine.stepwise import StepwiseStep
from lammps_mace.engine.transfers import Transfers


class OnDevice(NamedTuple):
    """What a step leaves on the device.

    Attributes:
        forces, node_energies: [row sizes, 3] and [own sizes], float64.
        sums: float64 [10], the energy, six of the virial, and the findings about pairs.
        pairs, gradient: of which virials of rows are made where somebody asks for them.
    """

    forces: jax.Array
    node_energies: jax.Array
    sums: jax.Array
    pairs: SelectedPairs
    gradient: jax.Array


class DeviceStep:
    """Evaluates graphs whose list stays on the device.

    On one domain a step is one program; a model with charges, or ranks that exchange, need one for
    each pass.

    Args:
        model: what to evaluate.
        buffers: of its inner layers.
        clock: is told when a stage ends.
        stepwise: runs the passes one by one.
        rule: chooses the size of chunks.
        transfers: moves the arrays.
        jit: compiles a function, as :func:`lammps_mace.engine.passes.jitted`.
    """

    def __init__(
        self, model: LoweredModel, buffers: BufferPool, clock: StageClock, stepwise: StepwiseStep,
        rule: ChunkRule, transfers: Transfers, jit: Callable[..., Any],
    ) -> None:  # fmt: skip
        self._model, self._buffers, self._clock = model, buffers, clock
        self._stepwise, self._rule, self._transfers = stepwise, rule, transfers
        self._weights = [layer.weights for layer in model.layers]
        self._passes = Passes.of(model)
        self._select = jit(self._selected)
        self._sum = jit(self._summed)
        self._row_virials = jit(row_virials)
        self._program = jit(self._trace, "buffers")
        self._capacity, self._sizes = Capacity(), ListSizes()
        self._list: DeviceList | None = None  # of the last step

    @property
    def programs(self) -> dict[str, Any]:
        """The jitted functions by name."""
        return {
            "device step": self._program,
            "device pairs": self._select,
            "device sums": self._sum,
            "device virials": self._row_virials,
        }

    def run(self, graph: ListedGraph, exchange: Exchange) -> AtomPrediction:
        """Return the prediction; every rank calls this together."""
        listed = self._listed(graph)
        positions = np.zeros((self._sizes.atoms, 3))
        positions[: len(graph.positions)] = graph.positions
        self._transfers.atoms += len(graph.positions)
        positions = self._transfers.up(positions)
        self._clock.end("neighbour data")
        if graph.one_domain and self._model.charges is None:
            made = self._run_at_once(listed, positions)
        else:
            made = self._run_passes(listed, positions, exchange)
        return self._prediction(graph, made)

    def _listed(self, graph: ListedGraph) -> DeviceList:
        last, atoms = self._list, None
        if last is not None:
            if last.holds(graph):
                return last
            atoms = last.layout.atoms
        layout = lay_out(graph, self._capacity, self._rule, atoms)
        self._capacity = layout.capacity
        self._list = DeviceList(layout, self._sizes, self._transfers)
        return self._list

    def _run_at_once(self, listed: DeviceList, positions: jax.Array) -> OnDevice:
        capacity = listed.layout.capacity
        buffers = self._buffers.take(capacity)
        made, buffers = self._program(
            listed.arrays, positions, self._weights, buffers, capacity=capacity
        )
        self._clock.end("whole step", made.forces)
        self._buffers.put_back(buffers)
        return made

    def _run_passes(self, listed: DeviceList, positions: jax.Array, exchange: Exchange) -> OnDevice:
        arrays, pairs, findings = self._select(listed.arrays, positions)
        self._clock.end("neighbour data", arrays.vectors)
        ghosts = PackedExchange(listed, exchange, self._transfers)
        result = self._stepwise.run(listed.layout, arrays, exchange, ghosts)
        return self._sum(listed.arrays, pairs, findings, result.outputs, result.gradient)

    def _prediction(self, graph: ListedGraph, made: OnDevice) -> AtomPrediction:
        given = made.forces, made.node_energies, made.sums
        forces, energies, sums = self._transfers.down(given)
        virials = None
        if graph.wants_virials:
            found = self._row_virials(made.pairs, made.gradient, n_rows=len(made.forces))
            virials = self._transfers.down(found)[: graph.n_total]
        n_close, coincident, rowless = map(int, sums[7:])
        return AtomPrediction(
            energies[: graph.n_local], float(sums[0]), forces[: graph.n_total], sums[1:7], virials,
            n_close, coincident, rowless,
        )  # fmt: skip

    def _trace(
        self, listed: ListArrays, positions: jax.Array, weights: list[Any],
        buffers: list[LayerBuffers], *, capacity: Capacity,
    ) -> tuple[OnDevice, list[LayerBuffers]]:  # fmt: skip
        arrays, pairs, findings = self._selected(listed, positions)
        sequence = StepSequence(
            self._passes, self._model.n_outputs, capacity, OneDomain(), ignore_stage, None
        )
        result, buffers = sequence.run(arrays, weights, buffers)
        return self._summed(listed, pairs, findings, result.outputs, result.gradient), buffers

    def _selected(
        self, listed: ListArrays, positions: jax.Array
    ) -> tuple[StepArrays, SelectedPairs, jax.Array]:
        return select_pairs(listed, positions, self._model.cutoff_angstrom, self._model.dtype)

    def _summed(
        self, listed: ListArrays, pairs: SelectedPairs, findings: jax.Array, outputs: jax.Array,
        gradient: jax.Array,
    ) -> OnDevice:  # fmt: skip
        forces, virial = sum_pairs(pairs, gradient, len(listed.species))
        network = outputs[:, 0].at[listed.own_index].get(mode="fill", fill_value=0)
        shifts = jnp.asarray(self._model.energy_shifts)[listed.own_species]
        energies = network.astype(jnp.float64) * self._model.energy_scale + shifts
        sums = jnp.concatenate([energies.sum()[None], virial, findings.astype(jnp.float64)])
        return OnDevice(forces, energies, sums, pairs, gradient)
