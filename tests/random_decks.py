"""Runs random LAMMPS inputs in number, or one of them: see README.md beside this file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent / "support"))

import crowded
import jax
import quick_xla
from deck_models import write_models
from deck_runs import Outcome, judge, run_decks
from decks import make_deck

BATCH = 240  # seeds whose decks share a start of LAMMPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="a line of JSON for each deck; goes on there")
    parser.add_argument("--first", type=int, default=0, help="seed of the first deck")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--one", type=int, metavar="SEED", help="run one deck; its files stay here")
    arguments = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    crowded.set_variables()
    os.environ["XLA_FLAGS"] = quick_xla.FLAGS
    jax.config.update("jax_enable_x64", True)
    if arguments.one is not None:
        sys.exit(run_one(arguments.one))
    done = finished(arguments.results)
    last = arguments.first + arguments.count
    for start in range(arguments.first, last, BATCH):
        seeds = set(range(start, min(start + BATCH, last))) - done
        decks = [make_deck(seed) for seed in sorted(seeds)]
        for ranks in (1, 2, 4):
            with TemporaryDirectory() as folder:
                write_models(Path(folder))
                same = [deck for deck in decks if deck.ranks == ranks]
                errors = run_decks(same, Path(folder))
                for outcome in judge(same, Path(folder), errors):
                    tell(outcome, arguments.results)


def run_one(seed: int) -> int:
    """Run a deck in the working directory; return 1 if it is wrong."""
    deck, folder = make_deck(seed), Path()
    write_models(folder)
    errors = run_decks([deck], folder)
    (outcome,) = judge([deck], folder, errors)
    print(deck, f"in.decks: mpirun -np {deck.ranks} lmp -in in.decks", sep="\n")
    print(outcome.bad or f"good: {outcome.differences}")
    return int(bool(outcome.bad))


def finished(results: Path | None) -> set[int]:
    if results is None or not results.exists():
        return set()
    return {json.loads(line)["seed"] for line in results.read_text().splitlines()}


def tell(outcome: Outcome, results: Path | None) -> None:
    if outcome.bad:
        print(outcome.deck, outcome.bad, sep="\n  ", flush=True)
    if results is None:
        return
    deck = outcome.deck
    line = {
        "seed": deck.seed, "bad": outcome.bad, "deck": str(deck),
        "largest": max(outcome.differences.values(), default=None),
    }  # fmt: skip
    with results.open("a") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
