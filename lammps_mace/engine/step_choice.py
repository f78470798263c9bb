"""Which way a step runs: as one program, or as a program for each pass."""

from __future__ import annotations

from lammps_mace.engine.fused_step import FusedStep
from lammps_mace.engine.interface import CompiledExchange
from lammps_mace.engine.step import StepRunner
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.engine.step_layout import StepLayout
from lammps_mace.engine.stepwise import StepwiseStep

# One program makes new arrays for the adjoints of what is sent, in one piece and in every step.
# Beyond this size the C library finds no free piece of memory again, and the time that one program
# saves is too little to see.
FUSED_BYTES = 2**26


def choose_step(
    fused: FusedStep | None,
    stepwise: StepwiseStep,
    layout: StepLayout,
    arrays: StepArrays,
    exchange: CompiledExchange,
) -> StepRunner:
    """Return the fused step where it can run, for it is faster by 3 % for 200 atoms.

    It cannot run, or the stepwise one is better, where

    * there is none: on a GPU, and for a model with charges;
    * there are more than some 25,000 atoms: a fused step takes more memory;
    * only Python can exchange;
    * XLA runs exchanges in other threads than the one that calls it: MPI may forbid that.
    """
    if fused is None or fused.sent_bytes(layout.capacity) > FUSED_BYTES:
        return stepwise
    if layout.graph.one_domain:
        return fused
    if fused.uses_other_threads or fused.handle(layout, exchange) is None:
        return stepwise
    if fused.uses_other_threads is None:
        fused.probe_threads(arrays, layout.capacity)
    return stepwise if fused.uses_other_threads else fused
