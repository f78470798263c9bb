"""Shared by the peers: time calls of an ASE calculator on one case."""

from __future__ import annotations

import json
import time
from pathlib import Path

from ase.io import read


def read_case(folder: Path):
    """Return the architecture (a dictionary) and the structure."""
    return json.loads((folder / "case.json").read_text()), read(folder / "case.xyz")


def time_calculator(atoms, seconds: float) -> None:
    """Print the seconds per call of energy and forces, each of several, as JSON.

    Positions change by 1e-5 Å between calls: nothing is cached, neighbour lists may be.
    """
    times = []
    for call in range(2 + 1000):
        atoms.positions[0, 0] += 1e-5 * (-1) ** call
        start = time.perf_counter()
        atoms.get_potential_energy()
        atoms.get_forces()
        if call >= 2:
            times.append(time.perf_counter() - start)
        if sum(times) > seconds and len(times) > 2:
            break
    print(json.dumps({"seconds": times}))
