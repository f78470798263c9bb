"""Two ranks against two independent runs of half of the atoms each, side by side on two cores.

python scaling.py X.model [--cells 5] [--steps 20] [--rounds 8] [--cores 0,1]

What two ranks lose to each other, and nothing that the machine takes from any two programs at once:
efficiency = time of the two runs / time of the ranks, both of one minute. Silicon.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(sys.executable).parent
SCRIPT = """
units metal
lattice diamond 5.43
region box block 0 {cells} 0 {cells} 0 {long}
create_box 1 box
create_atoms 1 box
mass 1 28.0855
displace_atoms all random 0.05 0.05 0.05 4711
pair_style mliap unified {model} 0
pair_coeff * * Si
neigh_modify every 10 delay 0 check no
thermo {steps}
run 5 post no
run {steps}
"""


def main() -> None:
    """Print each round and the median."""
    options = _options()
    cores = options.cores.split(",")
    with tempfile.TemporaryDirectory() as folder:
        half, whole = (_script(Path(folder), options, times) for times in (1, 2))
        efficiencies = []
        for _ in range(options.rounds):
            apart = _seconds([["taskset", "-c", core, BIN / "lmp", *half] for core in cores])
            ranks = ["taskset", "-c", options.cores, BIN / "mpirun", "-np", "2", "-bind-to", "core"]
            [together] = _seconds([[*ranks, BIN / "lmp", *whole]])
            efficiencies.append(sum(apart) / 2 / together)
            print(
                f"ms a step: {' and '.join(f'{1e3 * one:.2f}' for one in apart)} apart, "
                f"{1e3 * together:.2f} together: {efficiencies[-1]:.3f}", flush=True,
            )  # fmt: skip
    print(
        f"{8 * options.cells**3} atoms per rank: median {statistics.median(efficiencies):.3f}, "
        f"mean {statistics.mean(efficiencies):.3f} of {options.rounds}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--cells", type=int, default=5, help="8 cells^3 atoms per rank")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--cores", default="0,1", help="two of them")
    return parser.parse_args()


def _script(folder: Path, options: argparse.Namespace, times: int) -> list[str]:
    path = folder / f"in.{times}"
    model = options.model.resolve()
    values = {"cells": options.cells, "long": times * options.cells, "steps": options.steps}
    path.write_text(SCRIPT.format(model=model, **values))
    return ["-in", str(path), "-log", "none"]


def _seconds(commands: list[list[str | Path]]) -> list[float]:
    """Return the time of a step of each, all at once."""
    processes = [subprocess.Popen(c, stdout=subprocess.PIPE, text=True) for c in commands]
    outputs = [process.communicate()[0] for process in processes]
    loops = [re.findall(r"Loop time of (\S+) on \d+ procs for (\d+) steps", out) for out in outputs]
    return [float(times[-1][0]) / int(times[-1][1]) for times in loops]


if __name__ == "__main__":
    main()
