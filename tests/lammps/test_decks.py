"""Random decks: whatever LAMMPS does with the atoms, its numbers are those of what it left.

README.md in tests/ says how to run many, and one that failed by itself.
"""

from collections import Counter
from dataclasses import replace
from itertools import count, islice

import numpy as np
import pytest
from ase import Atoms
from deck_commands import BETWEEN_RUNS, RUNS
from deck_models import MODELS, write_models
from deck_runs import compare, judge, run_decks
from deck_truth import Truth
from decks import LAYOUTS, STYLES, UNITS, make_deck

# Ranks: how many decks, of which models; every rank compiles each of them.
HERE = {1: (20, tuple(MODELS)), 2: (18, ("three", "four", "single")), 4: (12, ("two", "charged"))}

# The same where the neighbour list stays on the device.
ON_DEVICE = {1: (8, ("two", "charged")), 2: (6, ("three",)), 4: (4, ("charged",))}

# The potential without what other ranks sent.
DEAF = """
compute = self.compute

class Deaf:
    def __init__(self, step):
        self.step = step

    def __getattr__(self, name):
        return getattr(self.step, name)

    def exchange_handle(self, places, n_rows):
        return None  # so that exchanges come through here

    def forward_exchange(self, rows, places):
        self.step.forward_exchange(rows, places)
        rows[places[self.step.n_local:]] = 0.0

self.compute = lambda step: compute(Deaf(step))
"""


def decks_on(ranks, models, n, fewest=1):
    """Return the first decks of these models, with so many atoms at least."""
    decks = (deck for deck in map(make_deck, count()) if deck.ranks == ranks)
    return list(islice((d for d in decks if d.model in models and d.n_atoms >= fewest), n))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the models."""
    path = tmp_path_factory.mktemp("decks")
    write_models(path)
    return path


@pytest.fixture(scope="module")
def outcomes(folder):
    """Return what became of the decks, on 1, 2 and 4 ranks; their files are in the folder."""
    decks, errors = [], {}
    for ranks, (n, models) in HERE.items():
        same = decks_on(ranks, models, n)
        errors |= run_decks(same, folder)
        decks += same
    return judge(decks, folder, errors)


@pytest.mark.parametrize("ranks", HERE)
def test_no_number_is_wrong(outcomes, ranks):
    found = [outcome for outcome in outcomes if outcome.deck.ranks == ranks]
    assert len(found) == HERE[ranks][0]
    bad = [f"{outcome.deck.input}# {outcome.bad}" for outcome in found if outcome.bad]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("ranks", ON_DEVICE)
def test_no_number_is_wrong_on_the_device_path(folder, ranks):
    n, models = ON_DEVICE[ranks]
    decks = decks_on(ranks, models, n)
    errors = run_decks(decks, folder, {"LAMMPS_MACE_DEVICE_PATH": "1"})
    bad = [
        f"{outcome.deck.input}# {outcome.bad}"
        for outcome in judge(decks, folder, errors)
        if outcome.bad
    ]
    assert not bad, "\n".join(bad)


def test_without_exchange_decks_are_wrong(folder, patch):
    decks = decks_on(2, ("three",), 4, fewest=20)
    found = judge(decks, folder, run_decks(decks, folder, patch(DEAF)))
    assert sum("forces" in outcome.bad for outcome in found) >= 3


def some_of(outcomes, model):
    """Return decks of a model with many atoms."""
    decks = [outcome.deck for outcome in outcomes if not outcome.error]
    return [deck for deck in decks if deck.model == model and deck.n_atoms > 20]


def test_another_cutoff_is_wrong(outcomes, folder, tmp_path):
    changed = replace(MODELS["two"], cutoff=4.1)
    changed.write(tmp_path / "two.model", list(MODELS).index("two"))
    found = compare(some_of(outcomes, "two"), folder, Truth(tmp_path / "two.model"))
    assert sum(bool(outcome.bad) for outcome in found) >= 3


def test_permuted_types_are_wrong(outcomes, folder):
    other = {"O": "Si", "Si": "O", None: None}
    turned = [
        replace(deck, types=tuple(other[element] for element in deck.types))
        for deck in some_of(outcomes, "two")
    ]
    found = compare(turned, folder, Truth(folder / "two.model"))
    assert sum(bool(outcome.bad) for outcome in found) >= 3


def test_truth_of_many_is_the_evaluation_of_each(folder):
    truth = Truth(folder / "charged.model")
    rng = np.random.default_rng(0)
    structures = [
        Atoms(names, rng.uniform(0, 5, (len(names), 3)), cell=np.eye(3) * 5.0, pbc=pbc)
        for names, pbc in ((["O", "Si", "Si"], True), (["Si", "O"], False))
    ]
    for many, atoms in zip(truth.evaluate_all(structures), structures, strict=True):
        one = truth.evaluate(atoms)
        assert many.energies == pytest.approx(one.energies, rel=1e-12)
        assert many.forces == pytest.approx(one.forces, rel=1e-10, abs=1e-12)
        assert many.virial == pytest.approx(one.virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]])


def test_decks_reach_everything():
    """Control of the generator: every choice occurs, also among those that CI runs."""
    decks = [make_deck(seed) for seed in range(200)]
    for name, choices in (("model", MODELS), ("units", UNITS), ("style", STYLES)):
        assert {getattr(deck, name) for deck in decks} == set(choices)
    words = Counter(word for deck in decks for word in deck.words)
    commands = [command.__name__ for command in (*RUNS, *BETWEEN_RUNS)]
    assert min(words[word] for word in (*LAYOUTS, "tilted", *commands)) >= 3
    assert len({deck.boundary for deck in decks}) > 50
    sizes = np.array([deck.n_atoms for deck in decks])
    assert sizes.min() == 1
    assert sizes.max() > 250
