"""The start of a rank: what it imports, and which threads run its functions."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from lammps_mace.runtime.garbage import without_collection

SUPPORT = Path(__file__).parent / "support"

START = """
import sys
import lammps_mace.coupling.plugin_potential, lammps_mace.coupling.mliap.model
print("jax" in sys.modules)
from lammps_mace.runtime.placement import Rank
from lammps_mace.runtime.jax_setup import start_jax
start_jax(Rank())
import lammps_mace.lowering.build
print("scipy.stats" in sys.modules)
from scipy.spatial.transform import Rotation
from scipy.signal.windows import hann
import scipy.signal
print(scipy.signal.find_peaks([0, 1, 0])[0].tolist(), "scipy.stats" in sys.modules)
"""


@pytest.fixture
def printed(tmp_path):
    """Return a function: a script and its argument -> what it prints in a process of its own."""

    def run(script, *argument):
        # -P: what is installed, not the sources in the current folder.
        return subprocess.run(
            [sys.executable, "-P", "-c", script, *argument], stdout=subprocess.PIPE, text=True,
            check=True,
            env={"LAMMPS_MACE_CACHE": str(tmp_path), "PATH": "", "PYTHONPATH": str(SUPPORT)},
        ).stdout  # fmt: skip

    return run


def test_jax_and_scipy_signal_are_imported_late(printed):
    assert printed(START).split("\n")[:3] == ["False", "False", "[1] True"]


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_is_as_before_also_after_an_error(enabled):
    @without_collection()
    def fails():
        assert not gc.isenabled()
        raise ValueError("some")

    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ValueError, match="some"):
            fails()
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()


THREAD = """
import sys, time
from lammps_mace.runtime.placement import Rank
from lammps_mace.runtime.jax_setup import start_jax
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
def test_functions_run_on_the_thread_that_calls_them(printed, start, found):
    assert printed(THREAD, start).strip() == found


# Prints how often XLA's own threads were woken in five steps.
WOKEN = """
import re, sys
from pathlib import Path
from lammps_mace.runtime.placement import Rank
from lammps_mace.runtime.jax_setup import start_jax
start_jax(Rank())
from small import make_model, make_structure, domain_graph
from lammps_mace.engine.interface import NoExchange
from lammps_mace.lowering.build import build_engine
from lammps_mace.engine import chunk
if sys.argv[1] == "any order":
    chunk.serialize_after = lambda index: index

def switches():
    statuses = [(task / "status").read_text() for task in Path("/proc/self/task").iterdir()]
    threads = [status for status in statuses if "XLAEigen" in status]
    assert threads
    return sum(map(int, re.findall(r"ctxt_switches:\\s*(\\d+)", " ".join(threads))))

engine = build_engine(make_model("float32", num_layers=3, node_symmetry=3, l_max=3))
graph = domain_graph(make_structure(3))
for _ in range(2):
    engine.evaluate(graph, NoExchange())
before = switches()
for _ in range(5):
    engine.evaluate(graph, NoExchange())
print(switches() - before)
"""


@pytest.mark.parametrize("order", ["ours", "any order"])
def test_a_step_leaves_xla_threads_alone(printed, order):
    """Of many operations that are ready, XLA hands half to a thread of its own."""
    assert (int(printed(WOKEN, order)) == 0) == (order == "ours")
