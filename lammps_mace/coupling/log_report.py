"""The lines at the end of a LAMMPS run: where the time went, memory, compilations."""

from __future__ import annotations

import re
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lammps_mace.engine.engine import Engine
from lammps_mace.engine.stage_clock import COMPILING
from lammps_mace.engine.transfers import EXCHANGE, LIST, STEP

PREFIX = "lammps-mace:"
COARSE = (
    f"{PREFIX} the line search ended where float32 rounds, at forces of some 2e-3 eV/Angstrom: "
    "to minimise further use a float64 model (lammps-mace convert --dtype float64)"
)
_KIB = 1024
# Stages of the engine and what they are in the log, in order.
_SECTIONS = {
    "neighbour data": "Neighbors",
    "exchange": "Comm",
    "forward": "Inner layers",
    "last layer": "Last layer",
    "charges": "Charges",
    "backward": "Gradients",
    "whole step": "Whole step",
    "forces": "Forces",
}
_TRANSFERS = {STEP: "steps", LIST: "neighbour lists", EXCHANGE: "exchange between ranks"}
_TITLE = "time of the model, a part of Pair"
_HEAD = "Section       |  min time  |  avg time  |  max time  | %total | us/atom/step"


@dataclass(frozen=True)
class _Share:
    """What one rank did since the last report: the engine's clock and programs, and its atoms."""

    seconds: Mapping[str, float]
    steps: int
    atoms: int
    peak_bytes: int
    compilations: Mapping[str, int]
    transferred: Mapping[str, float]


def report(engine: Engine, n_atoms: int, comm: Any) -> str:
    """Return the text for the log and start counting anew; every rank calls this together.

    Args:
        n_atoms: own atoms of this rank in the last step.
        comm: mpi4py communicator; None without MPI.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
    clock = engine.clock
    transferred = engine.transfers.per_atom if engine.transfers.atoms else {}
    mine = _Share(dict(clock.seconds), clock.steps, n_atoms, peak, engine.compilations, transferred)
    clock.reset()
    engine.transfers.reset()
    every = [mine] if comm is None else comm.allgather(mine)
    lines = _table(every) if max(one.steps for one in every) else []
    lines.append(f"{PREFIX} {_compilations(every)}")
    lines += _transfers(every)
    largest = max(one.peak_bytes for one in every) / 2**20
    lines.append(f"{PREFIX} peak memory {largest:.0f} MiB of a rank")
    return "\n".join(lines)


def _table(every: Sequence[_Share]) -> list[str]:
    """Return LAMMPS's kind of table, of the steps that compiled nothing.

    The last column is per atom of all ranks and in rank time: more ranks give the same number.
    """
    steps, atoms = max(one.steps for one in every), sum(one.atoms for one in every)
    all_seconds = sum(sum(one.seconds.get(name, 0.0) for name in _SECTIONS) for one in every)
    lines = [f"{PREFIX} {_TITLE}: {steps} steps, {atoms} atoms", _HEAD, "-" * len(_HEAD)]
    for name, section in _SECTIONS.items():
        if any(name in one.seconds for one in every):
            seconds = [one.seconds.get(name, 0.0) for one in every]
            times = [min(seconds), sum(seconds) / len(seconds), max(seconds)]
            percent = 100 * sum(seconds) / max(all_seconds, 1e-300)
            share = 1e6 * sum(seconds) / (max(atoms, 1) * steps)
            cells = " | ".join(f"{time:<10.5g}" for time in times)
            lines.append(f"{section:<13} | {cells} | {percent:6.2f} | {share:.2f}")
    return lines


def _compilations(every: Sequence[_Share]) -> str:
    # Each rank chooses whether its step is one program.
    names = dict.fromkeys(name for one in every for name in one.compilations)
    counts = [f"{name} {max(one.compilations.get(name, 0) for one in every)}" for name in names]
    seconds = max(one.seconds.get(COMPILING, 0.0) for one in every)
    ends = f"; steps that compiled, or read compiled code, took {seconds:.1f} s" if seconds else ""
    return f"compilations (most of any rank): {', '.join(counts)}{ends}"


def _transfers(every: Sequence[_Share]) -> list[str]:
    """Return what went between host and device, at most of any rank, per atom (own and ghost)."""
    most = {
        name: max(one.transferred.get(kind, 0.0) for one in every)
        for kind, name in _TRANSFERS.items()
    }
    if not any(most.values()):
        return []
    parts = ", ".join(f"{name} {count:.1f}" for name, count in most.items())
    return [f"{PREFIX} device path: bytes per atom, ghost and step to and from the device: {parts}"]


def read_stages(log: str) -> dict[str, float]:
    """Return the sections of the last table in a LAMMPS log, us of a rank per atom and step."""
    _, title, after = log.rpartition(f"{PREFIX} {_TITLE}")
    rows = re.findall(r"^(\w[\w ]*?) +\|.*\| *(\S+)$", after.partition(f"\n{PREFIX}")[0], re.M)
    return {name: float(share) for name, share in rows if title and name != "Section"}


def read_compilations(log: str) -> dict[str, int]:
    """Return the compilations of the last report in a LAMMPS log; none if there is none."""
    found = re.findall(rf"^{PREFIX} compilations \(most of any rank\): ([^;\n]*)", log, re.M)
    items = [item.rsplit(" ", 1) for item in found[-1].split(", ")] if found else []
    return {name: int(count) for name, count in items}


def read_peak_memory(log: str) -> int:
    """Return the peak memory of a rank in the last report of a LAMMPS log, MiB; 0 if none."""
    found = re.findall(rf"^{PREFIX} peak memory (\d+) MiB", log, re.M)
    return int(found[-1]) if found else 0
