"""CentroidStep: a step that also computes the centroid virial of each atom."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from lammps_mace.engine.atom_layout import AtomLayout
from lammps_mace.engine.buffers import BufferPool
from lammps_mace.engine.capacity import Capacity, ChunkRule
from lammps_mace.engine.centroid_passes import AXES, backward
from lammps_mace.engine.charges import constrain_charges
from lammps_mace.engine.ghost_exchange import HostExchange
from lammps_mace.engine.host_pairs import HostPairs
from lammps_mace.engine.images import ImageExchange, ImageGraph
from lammps_mace.engine.interface import DomainGraph, Exchange, Prediction
from lammps_mace.engine.layer import NodeFeatures
from lammps_mace.engine.lowered_model import LoweredModel
from lammps_mace.engine.passes import Passes
from lammps_mace.engine.stage_clock import StageClock
from lammps_mace.engine.step import StepSequence, node_energies
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.engine.step_layout import StepLayout, lay_out


class CentroidStep:
    """Evaluates graphs with positions; each image of an atom has a row here.

    Args:
        model: without a Coulomb sum, whose energies depend on all atoms.
        pool: buffers of its inner layers.
        clock: is told when a stage ends.
        rule: chooses the size of chunks.
        jit: compiles a pass, as :func:`lammps_mace.engine.passes.jitted`.
    """

    def __init__(
        self, model: LoweredModel, pool: BufferPool, clock: StageClock, rule: ChunkRule,
        jit: Callable[..., Any],
    ) -> None:  # fmt: skip
        self._model, self._pool, self._clock, self._rule = model, pool, clock, rule
        self._weights = [layer.weights for layer in model.layers]
        self._passes = Passes.of(model).jitted(jit)
        self._backward = [
            jit(partial(backward, layer, model.energy_scale), "vectors", "outputs")
            for layer in model.layers
        ]
        self._capacity = Capacity()
        self._atoms: AtomLayout | None = None  # of the last step

    @property
    def programs(self) -> dict[str, Any]:
        """The jitted functions by name."""
        named = {f"centroid forward {i + 1}": f for i, f in enumerate(self._passes.forward)}
        return named | {f"centroid backward {i + 1}": f for i, f in enumerate(self._backward)}

    def run(self, graph: DomainGraph, exchange: Exchange, out: np.ndarray | None) -> Prediction:
        """Return the prediction with the centroid virial; every rank calls this together."""
        images = ImageGraph.of(graph)
        layout = lay_out(images.graph, self._capacity, self._rule, self._atoms)
        self._atoms, self._capacity = layout.atoms, layout.capacity
        pairs = HostPairs(layout, self._model.dtype, self._model.cutoff_angstrom)
        positions = np.zeros((layout.capacity.rows, AXES), self._model.dtype)
        positions[layout.atoms.row_index] = images.positions
        arrays, places = jax.device_put((layout.arrays(pairs), positions))
        self._clock.end("neighbour data")
        ghosts = HostExchange(layout, ImageExchange(images, exchange))
        outputs, vectors, charges = self._run(layout, arrays, places, ghosts, exchange)
        gradient = pairs.unpack_gradient(vectors[0], out)
        moments = np.stack([pairs.unpack_gradient(x) for x in vectors[1:]], axis=1)
        own = positions[layout.atoms.row_index[: graph.n_local]].astype(np.float64)
        virial = images.centroid_virial(gradient, moments, own)
        energies = node_energies(self._model, layout, outputs)
        return Prediction(energies, gradient, charges, virial)

    def _run(
        self, layout: StepLayout, arrays: StepArrays, positions: jax.Array,
        ghosts: HostExchange, exchange: Exchange,
    ) -> tuple[jax.Array, list[jax.Array], np.ndarray | None]:  # fmt: skip
        """Return the outputs, dE/d vectors with its moments, and the charges."""
        sequence = StepSequence(
            self._passes, self._model.n_outputs, layout.capacity, ghosts, self._clock.end, None
        )  # fmt: skip
        buffers = self._pool.take(layout.capacity)
        outputs, made, _ = sequence.forward(arrays, self._weights, buffers)
        read: list[NodeFeatures | None] = [None, *(one.features for one in made)]
        vectors: list[jax.Array] | None = None
        above: list[NodeFeatures] | None = None
        charges = None
        for i in reversed(range(len(self._backward))):
            is_last = i == len(made)
            found, moments = self._backward[i](
                self._weights[i], arrays, positions, read[i], None if is_last else made[i].saved,
                above, vectors, outputs if is_last else None, capacity=layout.capacity,
            )  # fmt: skip
            outputs, vectors = found if is_last else outputs, moments.vectors
            self._clock.end("last layer" if is_last else "backward", vectors[-1])
            if is_last:
                charges = self._charges(layout, outputs, exchange)
            if moments.features is not None:
                above = [ghosts.add_adjoints(one) for one in moments.features]
                self._clock.end("exchange")
        self._pool.put_back(made)
        assert vectors is not None  # there is a layer
        return outputs, vectors, charges

    def _charges(
        self, layout: StepLayout, outputs: jax.Array, exchange: Exchange
    ) -> np.ndarray | None:
        """Return the charges of own atoms, which no energy depends on; collective."""
        settings = self._model.charges
        if settings is None:
            return None
        raw = layout.atoms.from_slots(np.asarray(outputs)[:, 1])
        charges, _ = constrain_charges(raw, layout.atoms.species, settings, exchange)
        self._clock.end("charges")
        return charges
