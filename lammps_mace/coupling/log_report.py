"""The lines at the end of a LAMMPS run: where the time went, memory, compilations."""

from __future__ import annotations

import re
import resource
from typing import Any

from lammps_mace.engine.engine import Engine

PREFIX = "lammps-mace:"
_KIB = 1024


def report(engine: Engine, n_atoms: int, comm: Any) -> str:
    """Return the text for the log and start counting anew; every rank calls this together.

    Args:
        n_atoms: own atoms of this rank in the last step.
        comm: mpi4py communicator; None without MPI.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
    mine = (dict(engine.seconds), engine.steps, n_atoms, peak, engine.compilations)
    engine.start_counting()
    every = [mine] if comm is None else comm.allgather(mine)
    steps = max(steps for _, steps, *_ in every)
    lines = [_compilations([counts for *_, counts in every])]
    if steps:
        lines.insert(0, _stages([seconds for seconds, *_ in every], steps, every))
    lines.append(f"peak memory {max(peak for *_, peak, _ in every) / 2**20:.0f} MiB of a rank")
    return "\n".join(f"{PREFIX} {line}" for line in lines)


def _stages(seconds: list[dict[str, float]], steps: int, every: list[Any]) -> str:
    atoms = max(sum(n for _, _, n, *_ in every), 1)
    names = sorted({name for one in seconds for name in one}, key=list(_ORDER).index)
    # Per atom of all ranks and in rank time, so that more ranks give the same number.
    share = {n: 1e6 * sum(one.get(n, 0.0) for one in seconds) / (atoms * steps) for n in names}
    stages = ", ".join(f"{name} {share[name]:.2f}" for name in names)
    return f"us of a rank per atom and step, {steps} steps: {stages}"


_ORDER = ("neighbour data", "exchange", "forward", "last layer", "charges", "backward", "forces")


def _compilations(counts: list[dict[str, int]]) -> str:
    most = {name: max(one[name] for one in counts) for name in counts[0]}
    listed = ", ".join(f"{name} {count}" for name, count in most.items())
    return f"compilations (most of any rank): {listed}"


def read_stages(log: str) -> dict[str, float]:
    """Return the stages of the last report in a LAMMPS log, us per atom and step."""
    pairs = _last_list(log, r"us of a rank per atom and step, \d+ steps")
    return {name: float(value) for name, value in pairs}


def read_compilations(log: str) -> dict[str, int]:
    """Return the compilations of the last report in a LAMMPS log."""
    pairs = _last_list(log, r"compilations \(most of any rank\)")
    return {name: int(value) for name, value in pairs}


def _last_list(log: str, title: str) -> list[list[str]]:
    """Return the (name, value) pairs of the last line with a title; none without such a line."""
    found = re.findall(rf"^{PREFIX} {title}: (.*)$", log, re.M)
    return [item.rsplit(" ", 1) for item in found[-1].split(", ")] if found else []


def read_peak_memory(log: str) -> int:
    """Return the peak memory of a rank in the last report of a LAMMPS log, MiB; 0 if none."""
    found = re.findall(rf"^{PREFIX} peak memory (\d+) MiB", log, re.M)
    return int(found[-1]) if found else 0
