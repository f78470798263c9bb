"""Operations and bytes per atom of the plain-XLA functions, counted by XLA; nothing is timed.

python gpu_counts.py FOLDER, with ours.model and case.xyz of at most 4,096 atoms of one element
(run.py writes such folders). One chunk holds all atoms, as on a GPU, so that XLA, which counts the
body of a loop once, counts every atom.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read

from lammps_mace import load_model
from lammps_mace.engine.chunks import GPU_CHUNKS
from lammps_mace.engine.engine import Engine
from lammps_mace.engine.interface import DomainGraph, NoExchange
from lammps_mace.evaluation import find_pairs


class Recorder:
    """A jitted function that remembers its last call."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.call = args, kwargs
        return self.function(*args, **kwargs)

    def counts(self) -> tuple[float, float]:
        """Return operations and bytes of the last call's program."""
        args, kwargs = self.call
        cost = self.function.lower(*args, **kwargs).compile().cost_analysis()
        return cost["flops"], cost["bytes accessed"]


def main() -> None:
    """Evaluate one step and print a table."""
    folder = Path(sys.argv[1])
    model = load_model(folder / "ours.model")
    atoms = read(folder / "case.xyz")
    n = len(atoms)
    pairs = find_pairs(atoms, model.dataset_info.graph_cutoff_angstrom)
    engine = Engine(model, backend="xla")
    engine._chunk_rule = GPU_CHUNKS
    forward = engine._forward = [Recorder(f) for f in engine._forward]
    backward = engine._backward = [Recorder(f) for f in engine._backward]
    engine._last = last = Recorder(engine._last)
    engine.evaluate(
        DomainGraph(
            species=np.zeros(n, np.int32),
            offsets=np.searchsorted(pairs.receivers, np.arange(n + 1)),
            senders=pairs.senders, displacements=-pairs.vectors, one_domain=True,
        ),
        NoExchange(),
    )  # fmt: skip
    print("| function | million operations per atom | MB per atom |\n| --- | --- | --- |")
    named = [*enumerate(forward), *enumerate(backward)]
    names = ["forward", "backward"]
    rows = [(f"{names[k >= len(forward)]} {i + 1}", f) for k, (i, f) in enumerate(named)]
    for name, function in [*rows, ("last layer", last)]:
        operations, size = function.counts()
        print(f"| {name} | {operations / n / 1e6:.2f} | {size / n / 1e6:.3f} |")


if __name__ == "__main__":
    main()
