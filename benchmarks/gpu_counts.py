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
from lammps_mace.engine.capacity import GPU_CHUNKS
from lammps_mace.engine.engine import EngineOptions
from lammps_mace.engine.interface import DomainGraph, NoExchange
from lammps_mace.engine.passes import jitted
from lammps_mace.evaluation import find_pairs
from lammps_mace.lowering.build import build_engine


class Recorder:
    """A jitted function that remembers its last call."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.call = args, kwargs
        return self.function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)

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
    recorders: list[Recorder] = []

    def recording(function: Any, *updated: str) -> Recorder:
        recorders.append(Recorder(jitted(function, *updated)))
        return recorders[-1]

    options = EngineOptions(
        chunk_rule=GPU_CHUNKS, choose_step=lambda fused, stepwise, *_: stepwise, jit=recording
    )
    engine = build_engine(model, backend="xla", options=options)
    engine.evaluate(
        DomainGraph(
            species=np.zeros(n, np.int32),
            offsets=np.searchsorted(pairs.receivers, np.arange(n + 1)),
            senders=pairs.senders, displacements=-pairs.vectors, one_domain=True,
        ),
        NoExchange(),
    )  # fmt: skip
    print("| function | million operations per atom | MB per atom |\n| --- | --- | --- |")
    # Programs are compiled in the order of names; the last is that of a whole step.
    names = [
        f"{kind} {i + 1}"
        for kind in ("forward", "backward")
        for i in range(model.config.num_layers - 1)
    ]
    for name, function in zip([*names, "last layer"], recorders, strict=False):
        operations, size = function.counts()
        print(f"| {name} | {operations / n / 1e6:.2f} | {size / n / 1e6:.3f} |")


if __name__ == "__main__":
    main()
