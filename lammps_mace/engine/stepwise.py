"""StepwiseStep: a step as a series of programs, one for each pass of a layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from lammps_mace.engine.buffers import BufferPool
from lammps_mace.engine.charges import ChargeSettings, constrain_charges
from lammps_mace.engine.device_exchange import DeviceExchange
from lammps_mace.engine.ghost_exchange import BetweenPrograms, HostExchange
from lammps_mace.engine.interface import ChargeExchange, Exchange
from lammps_mace.engine.lowered_model import LoweredModel
from lammps_mace.engine.passes import Passes
from lammps_mace.engine.stage_clock import StageClock
from lammps_mace.engine.step import StepResult, StepSequence
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.engine.step_layout import StepLayout
from lammps_mace.engine.transfers import Transfers


class StepwiseStep:
    """Runs each pass as a program; Python exchanges ghosts and charges between them.

    It runs every model, on every device and through every exchange.

    Args:
        model: what to evaluate.
        buffers: of its inner layers.
        clock: is told when a stage ends.
        transfers: moves charges between host and device.
        jit: compiles a pass, as :func:`lammps_mace.engine.passes.jitted`.
    """

    def __init__(
        self, model: LoweredModel, buffers: BufferPool, clock: StageClock, transfers: Transfers,
        jit: Callable[..., Any],
    ) -> None:  # fmt: skip
        self._model, self._buffers, self._clock = model, buffers, clock
        self._transfers = transfers
        self._weights = [layer.weights for layer in model.layers]
        self._passes = Passes.of(model).jitted(jit)

    @property
    def programs(self) -> dict[str, Any]:
        """The jitted functions by name."""
        return self._passes.named

    def run(
        self, layout: StepLayout, arrays: StepArrays, exchange: Exchange,
        ghosts: BetweenPrograms | None = None,
    ) -> StepResult:  # fmt: skip
        """Return the result of a step; every rank calls this together.

        Args:
            ghosts: moves features between ranks; None: what suits the graph's pairs.
        """
        settings, charges_of = self._model.charges, None
        if settings is not None:
            charges_of = partial(self._charges, layout, settings, exchange)
        ghosts = ghosts or _ghost_exchange(layout, exchange)
        sequence = StepSequence(
            self._passes, self._model.n_outputs, layout.capacity, ghosts, self._clock.end,
            charges_of,
        )  # fmt: skip
        buffers = self._buffers.take(layout.capacity)
        result, buffers = sequence.run(arrays, self._weights, buffers)
        self._buffers.put_back(buffers)
        return result

    def _charges(
        self, layout: StepLayout, settings: ChargeSettings, exchange: ChargeExchange,
        outputs: jax.Array,
    ) -> tuple[np.ndarray, jax.Array]:  # fmt: skip
        """Return the charges [n_local], and dE/d charges as the network predicts them, [slots]."""
        raw = layout.atoms.from_slots(self._transfers.down(predicted_charges(outputs)))
        charges, gradient = constrain_charges(raw, layout.atoms.species, settings, exchange)
        adjoint = self._transfers.up(layout.atoms.to_slots(gradient.astype(self._model.dtype)))
        self._clock.end("charges")
        return charges, adjoint


# Compiled: taken apart by Python, a column costs five times as much.
@jax.jit
def predicted_charges(outputs: jax.Array) -> jax.Array:
    """Return the charges [slots] among the outputs [slots, 2], e."""
    return outputs[:, 1]


def _ghost_exchange(layout: StepLayout, exchange: Any) -> BetweenPrograms:
    """Return the ghost exchange that goes where the pairs of the graph are."""
    if layout.graph.on_gpu:
        return DeviceExchange(layout, exchange)
    return HostExchange(layout, exchange)
