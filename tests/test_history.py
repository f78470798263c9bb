"""Nothing that is computed depends on what the process computed before, and in which precision."""

import functools
import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest
import quick_xla
from history import CACHES, CONTROL, RESULTS

import lammps_mace

SUPPORT = Path(__file__).parent / "support"
# Made of something else than numbers of JAX: a library and an engine, the latter in RESULTS.
OTHERS = {"native.load", "plugin_potential._engine"}


@pytest.fixture(scope="module")
def fresh_and_late(tmp_path_factory):
    """Return per precision the digests of a process that begins with it, and of one that ends."""
    cache = str(tmp_path_factory.mktemp("cache"))
    env = {**os.environ, "PYTHONPATH": str(SUPPORT), "LAMMPS_MACE_CACHE": cache}
    env |= {"XLA_FLAGS": quick_xla.FLAGS, "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-P", str(SUPPORT / "history.py")]
    runs = [
        subprocess.run([*program, *order], env=env, stdout=subprocess.PIPE, text=True, check=True)
        for order in (("float64", "float32"), ("float32", "float64"))
    ]
    one, other = (json.loads(run.stdout) for run in runs)
    return {
        "float64": (one["float64"], other["float64"]),
        "float32": (other["float32"], one["float32"]),
    }


@pytest.mark.parametrize("mode", ["float32", "float64"])
@pytest.mark.parametrize("name", [*CACHES, *RESULTS])
def test_order_does_not_matter(name, mode, fresh_and_late):
    fresh, late = fresh_and_late[mode]
    assert fresh[name] == late[name]


@pytest.mark.parametrize("name", CACHES)
def test_caches_are_the_same_in_both_precisions(name, fresh_and_late):
    assert fresh_and_late["float32"][0][name] == fresh_and_late["float64"][0][name]


def test_a_value_of_whoever_came_first_is_seen(fresh_and_late):
    for fresh, late in fresh_and_late.values():
        assert fresh[CONTROL] != late[CONTROL]


def modules():
    names = pkgutil.walk_packages(lammps_mace.__path__, "lammps_mace.")
    return [importlib.import_module(info.name) for info in names]


def test_every_cached_function_is_in_the_list():
    cached = {
        value
        for module in modules()
        for value in vars(module).values()
        if isinstance(value, functools._lru_cache_wrapper)
    }
    names = {f"{value.__module__}.{value.__qualname__}" for value in cached}
    prefix = "lammps_mace."
    known = {*CACHES, *OTHERS}
    missing = [n for n in names if n.startswith(prefix) and not n.endswith(tuple(known))]
    assert not missing, "add them to CACHES in tests/support/history.py"
    assert len(names) == len(known)


def test_no_module_keeps_an_array_of_jax():
    arrays = [
        f"{module.__name__}.{name}"
        for module in modules()
        for name, value in vars(module).items()
        if isinstance(value, jax.Array)
    ]
    assert not arrays
