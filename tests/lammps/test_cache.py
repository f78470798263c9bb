"""The cache folder in the real LAMMPS: spoiled files there change no number and are told, once."""

import os
import shutil

import numpy as np
import pytest
from small import make_model, write_model

from lammps_mace.lowering.spline_table import read_table, write_table

SCRIPT = """
units metal
lattice diamond 5.43
region box block 0 2 0 1 0 1
create_box 1 box
create_atoms 1 box
mass 1 28
displace_atoms all random 0.1 0.1 0.1 17
pair_style mliap unified x.model 0
pair_coeff * * Si
thermo_modify format float %.10g
run 0
"""


@pytest.fixture
def run(run_lammps, tmp_path):
    """Return a function that runs the model on so many ranks: run, energy, and what was told."""
    write_model(tmp_path / "x.model", make_model("float32", num_channels=2, l_max=1))
    cache = tmp_path / "cache"

    def start(ranks=1):
        done = run_lammps(SCRIPT, ranks, {"LAMMPS_MACE_CACHE": str(cache)})
        assert done.returncode == 0, done.out
        told = [line for line in done.log.splitlines() if f"{cache} " in line or "not used" in line]
        assert all(done.out.count(line) == 1 for line in told)
        return done.thermo()[-1]["E_pair"], [x for x in told if "kept in" not in x]

    return start


def tables(tmp_path):
    return sorted((tmp_path / "cache" / "splines").iterdir())


def stretch(path):
    scale, coefficients = read_table(path, 10**6)
    write_table(path, scale, 1.05 * coefficients)


def drop_a_column(path):
    scale, coefficients = read_table(path, 10**6)
    write_table(path, scale, coefficients[..., 1:])


SPOILED = {
    "every number times 1.05": (stretch, "it differs by 0.05 from the radial network"),
    "fewer functions": (drop_a_column, "its coefficients are float64"),
    "truncated": (lambda path: os.truncate(path, 99), "its content is not what was written (hash)"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_splines(run, tmp_path, name):
    spoil, reason = SPOILED[name]
    energy, told = run()
    assert told == []
    assert run() == (energy, [])
    for path in tables(tmp_path):
        spoil(path)
    again, told = run(2 if name == "truncated" else 1)
    assert np.isclose(again, energy, rtol=1e-6)
    for path, line in zip(tables(tmp_path), sorted(told), strict=True):
        words = f"lammps-mace: {path} is not used, its splines are fitted again: {reason}"
        assert line.startswith(words)
    assert run() == (energy, [])


def test_folder_that_others_can_write(run, tmp_path):
    # JAX keeps only what took a tenth of a second to compile: here all do.
    model = make_model("float32", num_channels=4, l_max=2, num_layers=3)
    write_model(tmp_path / "x.model", model)
    energy, _ = run()
    cache = tmp_path / "cache"
    [compiled] = (cache / "xla").iterdir()
    assert "jaxlib" in compiled.name
    for path in (*tables(tmp_path), *compiled.iterdir()):
        path.unlink()
    cache.chmod(0o777)
    again, told = run(2)
    assert np.isclose(again, energy, rtol=1e-6)
    assert told == [
        f"lammps-mace: the cache is not used: others can write to {cache} (mode 777): chmod go-w "
        f"{cache} if nobody did, or let LAMMPS_MACE_CACHE name a folder of your own"
    ]
    assert tables(tmp_path) == list(compiled.iterdir()) == []
    cache.chmod(0o700)
    assert run() == (energy, [])
    assert len(tables(tmp_path)) == 3
    assert list(compiled.iterdir())


def test_spoiled_compiled_code(run, tmp_path):
    """JAX itself compiles again what it cannot read."""
    energy, _ = run()
    [compiled] = (tmp_path / "cache" / "xla").iterdir()
    for path in compiled.glob("*-cache"):
        os.truncate(path, path.stat().st_size // 2)
    assert run() == (energy, [])
    shutil.rmtree(compiled)
    assert run() == (energy, [])
