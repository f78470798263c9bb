"""Spoiled files on every way in: each is read or refused in words, soon and in little memory."""

import os

import pytest
from fuzz_worker import CONTROLS, series

# A million take an hour of one core; each number is one file, so that any can be looked at again.
CASES = int(os.environ.get("LAMMPS_MACE_FUZZ_CASES", "5000"))
# Of torch, a hundred thousand take two hours of one core.
TORCH_CASES = int(os.environ.get("LAMMPS_MACE_FUZZ_TORCH_CASES", "400"))


def test_no_file_does_more_than_being_read_or_refused(tmp_path):
    counts, findings = series(tmp_path, 0, CASES)
    assert not findings, "\n".join(f"seed {seed}: {finding}" for seed, finding in findings)
    assert sum(counts.values()) == CASES
    # Most are refused; some damage does no harm.
    assert counts["refused"] > CASES // 2
    assert counts["read"] > CASES // 100


def test_no_file_of_torch_does_more_than_being_read_or_refused(tmp_path):
    counts, findings = series(tmp_path, 0, TORCH_CASES, kind="torch", batch=5000)
    assert not findings, "\n".join(f"seed {seed}: {finding}" for seed, finding in findings)
    assert sum(counts.values()) == TORCH_CASES
    assert counts["refused"] > TORCH_CASES // 2
    assert counts["read"] > TORCH_CASES // 200


def test_a_reader_of_torch_that_takes_much_memory_is_found(tmp_path):
    _, findings = series(tmp_path, 0, 1, control="much", kind="torch")
    assert "memory" in findings[0][1]


@pytest.mark.parametrize("kind", [kind for kind in CONTROLS if kind != "much"])
def test_each_detector_detects(tmp_path, kind):
    _, findings = series(tmp_path, 0, 1, control=kind)
    assert len(findings) == 1
    assert findings[0][1].startswith(kind)
