"""Controls of `make sanitize`, which alone runs them: faults that the sanitizers must report."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Kernels trust the senders: one that is past the last row is read from whatever lies there.
SENDERS = """
from kernel_cases import edge_case
from lammps_mace.kernels import edges_forward

case = edge_case(1, 2, 16, (4, 2), dtype="float32")
edges = case.operands.replace(senders=case.senders * 0 + len(case.sent) + {past})
edges_forward(case.program, edges, backend="cpu")[0].block_until_ready()
"""
# Custom calls trust that XLA calls them with something.
NOTHING = """
from lammps_mace.kernels import native

native.load().lammps_mace_twins(None)
"""


def ended(code):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "support")}
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "report"),
    [
        (SENDERS.format(past=0), "AddressSanitizer: heap-buffer-overflow"),
        (NOTHING, "runtime error: member access within null pointer"),
    ],
    ids=["memory", "undefined behaviour"],
)
def test_a_fault_is_reported(code, report):
    run = ended(code)
    assert run.returncode != 0
    assert report in run.stderr


def test_what_is_right_is_not():
    run = ended(SENDERS.format(past=-1))
    assert run.returncode == 0, run.stderr
