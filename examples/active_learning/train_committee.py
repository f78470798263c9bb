"""Train the members of a committee without liquids: other seeds, and each on data of its own.

    python train_committee.py
    lammps-mace committee member.?.model -o committee.model

Data, network and training are those of examples/silicon; liquids and melting crystals are left out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "silicon"))

import numpy as np
from data import Structure, session, solid_samples, static_samples
from train import CONFIG, learn

from lammps_mace import save_model


def structures(seed: int, count: int) -> list[Structure]:
    """Return crystals of 64 atoms from 100 K to 1900 K, other phases, and clusters.

    Args:
        count: crystals of each of 21 trajectories; four times as many of each of five phases.
    """
    with session() as lmp:
        samples = [*solid_samples(lmp, seed, count), *static_samples(lmp, seed, count)]
    kept = [s for sample in samples for s in sample]
    return [s for s in kept if np.abs(s.forces).max() < 20.0]  # no simulation visits the others


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0.01, help="highest learning rate")
    parser.add_argument("--count", type=int, default=4, help="structures of each trajectory")
    return parser.parse_args()


def main() -> None:
    """Write member.1.model, member.2.model and so on."""
    args = arguments()
    for member in range(1, args.members + 1):
        seed = 10_000 * member  # examples/silicon has thousands below
        sets = {"train": structures(seed, args.count)}
        sets["validation"], sets["test"] = structures(seed + 1000, 1), structures(seed + 2000, 1)
        settings = argparse.Namespace(**vars(args), seed=member, time_limit=None)
        info, params = learn(sets, settings)
        out = f"member.{member}.model"
        origin = "examples/active_learning/train_committee.py"
        save_model(out, CONFIG, info, params, origin=origin, record_folder=False)
        print(f"wrote {out}")


if __name__ == "__main__":
    main()
