"""Splines that lie in the cache folder: used only where they are what was fitted."""

import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from small import domain_graph, energy_and_gradient, make_model, make_structure, splines_of

from lammps_mace.engine.interface import NoExchange
from lammps_mace.lowering import radial_splines, spline_cache
from lammps_mace.lowering.build import build_engine
from lammps_mace.lowering.spline_table import _digest, read_table, write_table
from lammps_mace.runtime.cache import CacheWarning

SPLINE = 1e-5  # what splines may change of an energy


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Return a model, its first layer's splines and their file."""
    monkeypatch.setenv("LAMMPS_MACE_CACHE", str(tmp_path))
    model = make_model("float32")
    fitted = splines_of(model)
    [path] = (tmp_path / "splines").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    return model, fitted, path


def changed(change):
    """Return what rewrites a table, hash and all, with other coefficients."""
    return lambda path, fitted: write_table(
        path, fitted.grid.scale, change(fitted.coefficients.copy())
    )


def one_nan(coefficients):
    coefficients[0, 7, 3] = np.nan
    return coefficients


def flip_a_bit(path, fitted):
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def other_content(path, fitted):
    content = safetensors.numpy.save({"something": np.ones(3)})
    path.write_bytes(_digest(path, content) + content)


def no_table(path, fitted):
    path.write_bytes(_digest(path, b"{}") + b"{}")


def loop(path, fitted):
    path.unlink()
    path.symlink_to(path)


def put(make):
    def spoil(path, fitted):
        path.unlink()
        make(path)

    return spoil


def give_away(path, fitted):
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(path, 12345, 12345)


SPOILED = {
    "every number times 1.05": (changed(lambda c: 1.05 * c), "differs by 0.05 from the radial"),
    "the first functions in another order": (
        changed(lambda c: np.roll(c, 1, axis=2)), "from the radial network",
    ),
    "fewer functions": (
        changed(lambda c: c[..., 1:]), r"float64 \[1, 323, 11\], not .* \[1, knots \+ 3, 12\]",
    ),
    "a knot less": (changed(lambda c: c[:, 1:]), r"float64 \[1, 322, 12\]"),
    "one dimension": (changed(np.ravel), r"float64 \[[0-9]+\], not float64 \[1, knots \+ 3, "),
    "float32": (changed(lambda c: c.astype(np.float32)), r"float32 \["),
    "not a number": (changed(one_nan), "coefficients that are not finite"),
    "another scale": (lambda p, f: write_table(p, 0.3, f.coefficients), "of the knots is 0.3"),
    "a bit": (flip_a_bit, "not what was written"),
    "truncated": (lambda p, f: os.truncate(p, 1000), "not what was written"),
    "empty": (lambda p, f: os.truncate(p, 0), "not what was written"),
    "too large": (lambda p, f: os.truncate(p, 2**34), "it has 17179869184 bytes"),
    "no table": (no_table, "it is no table"),
    "other content": (other_content, "it is no table"),
    "folder": (put(Path.mkdir), "it is no file"),
    "pipe": (put(os.mkfifo), "it is no file"),
    "unreadable": (loop, "cannot be read .Too many levels of symbolic links"),
    "others can write": (lambda p, f: p.chmod(0o666), "others can write to .* .mode 666.: chmod"),
    "of somebody else": (give_away, "belongs to user 12345"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_table_is_fitted_again(name, table):
    spoil, reason = SPOILED[name]
    model, fitted, path = table
    spoil(path, fitted)
    words = f"{path} is not used, its splines are fitted again: .*{reason}"
    with pytest.warns(CacheWarning, match=words):
        again = splines_of(model)
    assert again.grid == fitted.grid
    assert np.array_equal(again.coefficients, fitted.coefficients)
    if name != "folder":  # that is left to its owner
        assert np.array_equal(splines_of(model).coefficients, fitted.coefficients)


def test_sound_table_is_used(table, monkeypatch):
    model, fitted, path = table
    monkeypatch.setattr(radial_splines, "fit", None)
    for _ in range(2):
        kept = splines_of(model)
        assert kept.grid == fitted.grid
        assert np.array_equal(kept.coefficients, fitted.coefficients)
        write_table(path, fitted.grid.scale, fitted.coefficients)


def test_table_of_other_weights_is_not_used(table):
    _, fitted, path = table
    other = make_model("float32", seed=1)
    others = splines_of(other)
    assert not np.array_equal(others.coefficients, fitted.coefficients)
    [second] = set(path.parent.iterdir()) - {path}
    path.replace(second)
    with pytest.warns(CacheWarning, match="not what was written"):
        assert np.array_equal(splines_of(other).coefficients, others.coefficients)


def test_folder_that_cannot_be_used(table, monkeypatch):
    model, fitted, path = table
    path.parent.chmod(0o777)
    with pytest.warns(CacheWarning, match="the cache is not used: others can write to"):
        assert np.array_equal(splines_of(model).coefficients, fitted.coefficients)
    monkeypatch.setenv("LAMMPS_MACE_CACHE", str(path))
    assert np.array_equal(splines_of(model).coefficients, fitted.coefficients)


def energy_error(model):
    structure = make_structure(2)
    found = build_engine(model).evaluate(domain_graph(structure), NoExchange()).energy
    return abs(found / energy_and_gradient(model, structure)[0] - 1)


def stretch(folder):
    for path in folder.iterdir():
        scale, coefficients = read_table(path, 10**6)
        write_table(path, scale, 1.05 * coefficients)


def test_a_table_that_is_believed_gives_another_energy(table, monkeypatch):
    model, _, path = table
    assert energy_error(model) < SPLINE
    stretch(path.parent)
    with pytest.warns(CacheWarning, match="radial network"):
        assert energy_error(model) < SPLINE
    stretch(path.parent)
    monkeypatch.setitem(spline_cache._DOUBT, "float32", np.inf)  # control
    assert energy_error(model) > 20 * SPLINE
