"""StageClock: where the time of the steps went."""

from __future__ import annotations

import time
from collections import defaultdict

import jax

COMPILING = "compiling"  # the stage of whole steps in which something was compiled


class StageClock:
    """Adds up the seconds of each stage of a step.

    Attributes:
        steps: since the last reset, but those set apart.
        seconds: of each stage since then.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the steps and their seconds."""
        self.steps = 0
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._since = 0.0  # start of the present stage
        self._before: dict[str, float] = {}  # the seconds when the step began

    def begin_step(self) -> None:
        """Count a step; its first stage begins now."""
        self.steps += 1
        self._before = dict(self.seconds)
        self._since = time.perf_counter()

    def end(self, stage: str, result: jax.Array | None = None) -> None:
        """End a stage, once its result is computed."""
        if result is not None:
            result.block_until_ready()
        self.end_at(stage, time.perf_counter())

    def set_step_apart(self, stage: str) -> None:
        """Count all time of this step as that of one stage, and the step as none."""
        spent = sum(self.seconds.values()) - sum(self._before.values())
        self.seconds = defaultdict(float, self._before)
        self.seconds[stage] += spent
        self.steps -= 1

    def end_at(self, stage: str, now: float) -> None:
        """End a stage at a time of ``time.perf_counter``; the next one begins then."""
        self.seconds[stage] += now - self._since
        self._since = now
