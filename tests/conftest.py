"""Settings for all tests: JAX as the product starts it, one cache of compiled code."""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

jax.config.update("jax_enable_x64", True)


@pytest.fixture(scope="session", autouse=True)
def _shared_cache(tmp_path_factory):
    """Let all LAMMPS runs of a session share compiled code, away from the user's cache."""
    os.environ["LAMMPS_MACE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep files together, for their fixtures, and all runs of LAMMPS on one worker.

    So with `-n 2` one core compiles networks while mpirun has the other: runs on 4 ranks that
    must end within seconds never meet each other.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.partition("::")[0]
            if path.endswith("test_parity_float64.py"):
                return nodeid  # a hundred networks that share nothing fill the gaps
            return "tests/lammps" if path.startswith("tests/lammps/") else path

    return Scheduler(config, log)
