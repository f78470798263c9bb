"""Runs decks: many in one LAMMPS; the one at which it stops is noted, the rest go on."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import quick_xla
from deck_truth import Truth, differences, expected, read, wrong
from decks import Deck
from programs import LMP, MPIRUN

SLOWEST = 20.0  # s, of a deck


@dataclass(frozen=True)
class Outcome:
    """What became of a deck: LAMMPS's error, or relative differences from the truth."""

    deck: Deck
    error: str
    differences: dict[str, float]

    @property
    def bad(self) -> str:
        """What is wrong, "" if nothing is."""
        return self.error or str(wrong(self.deck, self.differences) or "")


def run_lammps(text: str, ranks: int, folder: Path, timeout: float, env=None) -> str:
    """Run an input; return what it printed, with a last line if it took too long."""
    (folder / "in.decks").write_text(text)
    command = [str(LMP), "-in", "in.decks", "-log", "none"]
    command = [str(MPIRUN), "-np", str(ranks), *command] if ranks > 1 else command
    variables = {"OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": quick_xla.FLAGS}
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **variables, **(env or {})},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        return process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0] + "\nERROR: took too long\n"


def run_decks(
    decks: Sequence[Deck], folder: Path, env: dict[str, str] | None = None
) -> dict[int, str]:
    """Run decks of one number of ranks; return seed -> LAMMPS's error for those that failed.

    One model after the other, the large ones first: arrays then seldom grow.
    """
    errors: dict[int, str] = {}
    rest = sorted(decks, key=lambda deck: (deck.model, -deck.n_atoms))
    for deck in decks:
        (folder / f"{deck.name}.txt").unlink(missing_ok=True)
    while rest:
        text = "".join(deck.input for deck in rest)
        out = run_lammps(text, rest[0].ranks, folder, 60 + SLOWEST * len(rest), env)
        undone = [deck for deck in rest if not (folder / f"{deck.name}.txt").is_file()]
        if undone:
            errors[undone[0].seed] = reason(out)
        rest = undone[1:]
    return errors


def reason(out: str) -> str:
    """Return what LAMMPS said last of an error, or its last lines."""
    lines = out.splitlines()
    found = [line for line in lines if line.startswith("ERROR")]
    return found[-1] if found else "\n".join(lines[-5:])


def judge(decks: Sequence[Deck], folder: Path, errors: dict[int, str]) -> list[Outcome]:
    """Return the outcome of every deck, in the order of models."""
    found = [Outcome(deck, errors[deck.seed], {}) for deck in decks if deck.seed in errors]
    good = sorted((d for d in decks if d.seed not in errors), key=lambda d: d.model)
    for model, group in groupby(good, key=lambda d: d.model):
        found += compare(list(group), folder, Truth(folder / f"{model}.model"))
    return found


def compare(decks: Sequence[Deck], folder: Path, truth: Truth) -> list[Outcome]:
    """Return the outcome of decks of one model that LAMMPS has run."""
    left, got = zip(*(read(deck, folder) for deck in decks), strict=True)
    true = expected(decks, left, truth)
    return [
        Outcome(deck, "", differences(g, t)) for deck, g, t in zip(decks, got, true, strict=True)
    ]
