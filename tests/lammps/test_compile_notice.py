"""The line that tells why the first step takes long: in LAMMPS's log and on its screen, once."""

import re
import threading
import time

import jax
import jax.numpy as jnp
import pytest
from small import make_model, write_model

from lammps_mace.runtime import compile_notice as module
from lammps_mace.runtime.compile_notice import compile_notice

SCRIPT = """
units metal
lattice diamond 5.43
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 28
pair_style mliap unified x.model 0
pair_coeff * * Si
run 1
run 1
"""
PATIENCE = "import lammps_mace.runtime.compile_notice as n\nn._PATIENCE = {}\n"


@pytest.mark.parametrize("ranks", [1, 2])
def test_in_lammps(run_lammps, patch, tmp_path, ranks):
    write_model(tmp_path / "x.model", make_model("float32"))
    folder = re.escape(str(tmp_path / "cache" / "xla"))
    line = rf"lammps-mace: compiling the model \(once; kept in {folder}/[^)]+\)\n"
    cache = {"LAMMPS_MACE_CACHE": str(tmp_path / "cache")}
    done = run_lammps(SCRIPT, ranks, {**cache, **patch(PATIENCE.format(0.0))})
    assert done.returncode == 0, done.out
    for text in (done.log, done.out):
        assert text.count("compiling the model") == 1
        before, after = re.split(line, text)
        # Not between rows of thermo output.
        assert "Setting up Verlet" in before or text is done.log
        assert "Step" not in before
        assert "Step" in after


def test_what_is_compiled_fast_is_not_told(run_lammps, patch, tmp_path):
    write_model(tmp_path / "x.model", make_model("float32", num_layers=1))
    done = run_lammps(SCRIPT, env=patch(PATIENCE.format(60.0)))
    assert done.returncode == 0, done.out
    assert "compiling the model" not in done.out


@pytest.fixture
def said(monkeypatch):
    """Return a list of what was said; nobody waits before he speaks."""
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    return []


@jax.jit
def slow(x):
    """Give the other thread time to speak while XLA compiles."""
    for _ in range(3):
        x = jnp.linalg.inv(jnp.sin(x) + x)
    return x


def test_once(said):
    with compile_notice(said.append):
        slow(jnp.eye(3)).block_until_ready()
        slow(jnp.eye(4)).block_until_ready()
    [line] = said
    assert line.startswith("lammps-mace: compiling the model (")


def test_nothing_compiled(said):
    values = jnp.eye(5)
    slow(values).block_until_ready()
    with compile_notice(said.append):
        slow(values).block_until_ready()
    assert said == []


def test_nobody_speaks_afterwards(said, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.3)
    n_threads = threading.active_count()
    with compile_notice(said.append):
        jax.monitoring.record_event_duration_secs(module._BEGINS, 0.0)
    assert threading.active_count() == n_threads
    slow(jnp.eye(6)).block_until_ready()
    time.sleep(0.4)
    assert said == []


@pytest.mark.parametrize("folder", [None, "/some/folder"])
def test_folder(said, folder):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", folder)
    try:
        module._Notice(said.append)._tell()
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    expected = f"once; kept in {folder}" if folder else "at every start: there is no cache folder"
    assert said == [f"lammps-mace: compiling the model ({expected})"]
