"""Write mlip's checkpoints and float32 numbers: a program of its own, without 64-bit types.

usage: float32_oracle.py FOLDER SEED...
"""

import sys
from pathlib import Path

import numpy as np
from oracle import Oracle
from parity import random_case


def main(folder: Path, seeds: list[int]) -> None:
    for seed in seeds:
        case = random_case(seed)
        oracle = Oracle(case.full_config, case.full_info, seed)
        oracle.save(folder / f"{seed}.zip")
        truth = oracle.evaluate(case.atoms, case.charge, case.head, "float32")
        np.savez(
            folder / f"{seed}.npz", energy=truth.energy, forces=truth.forces,
            stress=truth.stress, energies=truth.energies,
        )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]])
