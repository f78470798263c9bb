"""Random structures and set-ups: LAMMPS on 1 to 4 ranks equals the evaluation in one process.

LAMMPS_MACE_CASES (default 100) says how many.
"""

import os
import re

import numpy as np
import pytest
from cases import MODELS, differences, expected, make_case, read, script, write_data, write_models

SEED = 20261122
COUNT = int(os.environ.get("LAMMPS_MACE_CASES", "100"))
# The same sums in another order; and float32 against the float64 of the same weights.
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}

# Exchanges go through Python; the control throws away what other ranks sent.
BETWEEN = """
compute = self.compute

class Between:
    def __init__(self, step):
        self.step = step

    def __getattr__(self, name):
        return getattr(self.step, name)

    def exchange_handle(self, row_index, n_rows):
        return None

    def forward_exchange(self, rows, row_index):
        self.step.forward_exchange(rows, row_index)

self.compute = lambda step: compute(Between(step))
"""
EXCHANGED = "self.step.forward_exchange(rows, row_index)\n"
DEAF = BETWEEN.replace(EXCHANGED, EXCHANGED + "        rows[row_index[self.step.n_local:]] = 0.0\n")


def cases_on(ranks, count):
    """Return cases sorted by model: one model after the other, the large ones first."""
    cases = [make_case(SEED, index, ranks) for index in range(count)]
    return sorted(cases, key=lambda case: (case.model, -len(case.species)))


def run_cases(run_lammps, cases, folder, env=None):
    for case in cases:
        write_data(case, folder)
    run = run_lammps("".join(map(script, cases)), cases[0].ranks, env, timeout=3600)
    assert run.returncode == 0, run.out[-3000:]
    return run


def wrong(case, folder, truths):
    """Return the quantities that differ by more than the tolerance."""
    found = differences(read(case, folder), expected(case, truths[case.model]))
    limit = TOLERANCE[MODELS[case.model][1]]
    return {name: value for name, value in found.items() if not value <= limit}


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_lammps_equals_one_process(run_lammps, tmp_path, ranks):
    truths = write_models(tmp_path)
    cases = cases_on(ranks, -(-COUNT // 4))
    run_cases(run_lammps, cases, tmp_path)
    assert {str(case): bad for case in cases if (bad := wrong(case, tmp_path, truths))} == {}


def test_exchanges_through_python(run_lammps, patch, tmp_path):
    """As with charges, or where a program of XLA leaves the thread that MPI knows."""
    truths = write_models(tmp_path)
    cases = cases_on(2, 8)
    run_cases(run_lammps, cases, tmp_path, patch(BETWEEN))
    assert {str(case): bad for case in cases if (bad := wrong(case, tmp_path, truths))} == {}


def test_cases_reach_everything():
    """Control of the generator: every choice occurs, alone and with several ranks."""
    cases = [case for ranks in (1, 2, 3, 4) for case in cases_on(ranks, 25)]
    for name, least in (("model", 4), ("units", 2), ("style", 4), ("layout", 4), ("atom_style", 3)):
        assert len({getattr(case, name) for case in cases}) == least
    assert sum(np.any(np.tril(case.cell, -1)) for case in cases) > 15
    assert sum(not case.periodic.all() for case in cases) > 15
    assert sum((np.diag(case.cell) < 4.0).any() for case in cases) > 15
    assert any(len(case.species) == 1 for case in cases)


def test_without_exchange_cases_differ(run_lammps, patch, tmp_path):
    env, truths = patch(DEAF), write_models(tmp_path)
    cases = [case for case in cases_on(2, 40) if case.model == "two" and len(case.species) > 8]
    run = run_cases(run_lammps, cases, tmp_path, env)
    fewest = [int(number) for number in re.findall(r"Nlocal: .* (\d+) min", run.out)]
    differ = ["forces" in wrong(case, tmp_path, truths) for case in cases]
    # A rank that has all atoms needs nobody: images of its own atoms are not exchanged.
    assert differ == [number > 0 for number in fewest]
    assert sum(differ) > 1
