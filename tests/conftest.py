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
