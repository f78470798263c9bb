"""What a Coulomb sum costs: the same 128-channel model with and without, 1,000 atoms, one core.

python coulomb.py [--core 1] [--rounds 3] [--cutoff 9]
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from ours import build
from run import HERE, timing
from systems import ARCHITECTURES, write_case

CELLS, RATTLE = 5, 0.05  # 1,000 atoms of silicon


def main() -> None:
    """Time both models in turn; print each round and the median share."""
    options = _options()
    shares = []
    folders = {cutoff: _case(options.work, cutoff) for cutoff in (None, options.cutoff)}
    for _ in range(options.rounds):
        without, with_sum = (timing(f, ["taskset", "-c", str(options.core)], 1000)
                             for f in folders.values())  # fmt: skip
        shares.append(1 - without["microseconds"] / with_sum["microseconds"])
        stage = with_sum["stages"]["Charges"] / with_sum["microseconds"]
        print(
            f"us/atom: {without['microseconds']:.1f} without, {with_sum['microseconds']:.1f} with "
            f"a sum to {options.cutoff:g} Å: {100 * shares[-1]:.1f} % of the step "
            f"(the sum and its exchanges alone {100 * stage:.1f} %)", flush=True,
        )  # fmt: skip
    print(f"median {100 * statistics.median(shares):.1f} %")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=HERE / "work")
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cutoff", type=float, default=9.0, help="of the Coulomb sum, Å")
    return parser.parse_args()


def _case(work: Path, cutoff: float | None) -> Path:
    folder = (work / f"coulomb-{cutoff}").resolve()
    write_case(folder, ARCHITECTURES[0], CELLS, RATTLE)
    build(folder, long_range=cutoff)
    return folder


if __name__ == "__main__":
    main()
