"""The start of a rank: what it imports, and which thread runs its functions."""

import subprocess
import sys

import pytest

START = """
import sys
import lammps_mace.coupling.potential, lammps_mace.coupling.unified
print("jax" in sys.modules)
from lammps_mace.placement import Rank
from lammps_mace.runtime import start_jax
start_jax(Rank())
import lammps_mace.engine
print("scipy.stats" in sys.modules)
from scipy.spatial.transform import Rotation
from scipy.signal.windows import hann
import scipy.signal
print(scipy.signal.find_peaks([0, 1, 0])[0].tolist(), "scipy.stats" in sys.modules)
"""


def test_jax_and_scipy_signal_are_imported_late(tmp_path):
    # -P: what is installed, not the sources in the current folder.
    run = subprocess.run(
        [sys.executable, "-P", "-c", START], capture_output=True, text=True, check=True,
        env={"LAMMPS_MACE_CACHE": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert run.stdout.split("\n")[:3] == ["False", "False", "[1] True"]


THREAD = """
import sys, time
from lammps_mace.placement import Rank
from lammps_mace.runtime import start_jax
if sys.argv[1] == "ours":
    start_jax(Rank())
import jax
function = jax.jit(lambda x: jax.lax.fori_loop(0, 500, lambda _, y: jax.numpy.sin(y), x))
x = jax.numpy.ones((300, 400))
function(x).block_until_ready()
here, everywhere = time.thread_time(), time.process_time()
function(x).block_until_ready()
print(time.thread_time() - here > 0.9 * (time.process_time() - everywhere))
"""


@pytest.mark.parametrize(("start", "found"), [("ours", "True"), ("JAX's own", "False")])
def test_functions_run_on_the_thread_that_calls_them(tmp_path, start, found):
    run = subprocess.run(
        [sys.executable, "-P", "-c", THREAD, start], capture_output=True, text=True, check=True,
        env={"LAMMPS_MACE_CACHE": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert run.stdout.strip() == found
