"""Paths with letters that LAMMPS's input parser takes apart; against a copy of its rule."""

import os

import pytest

from lammps_mace.coupling.model_path import find_model
from lammps_mace.modelfile import ModelFileError


def as_lammps_leaves(path):
    """utils::utf8_subst: the first byte of a letter outside ASCII goes, the others stay."""
    out, data = bytearray(), os.fsencode(path)
    for byte in data:
        starts = (byte & 0xE0) == 0xC0 or (byte & 0xF0) == 0xE0 or (byte & 0xF8) == 0xF0
        out += b"" if starts else bytes([byte])
    return os.fsdecode(bytes(out))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a function that makes an empty file in the working folder."""
    monkeypatch.chdir(tmp_path)

    def make(path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        open(path, "x").close()

    return make


@pytest.mark.parametrize(
    "path", ["mödèl/silicon.model", "./sili\N{GREEK SMALL LETTER OMEGA}.model", "模型/硅/x.model",
             "a/../Å/x.model", "\N{GRINNING FACE}.model", "ASCII/x.model"],
)  # fmt: skip
@pytest.mark.parametrize("absolute", [False, True])
def test_the_file_that_was_meant(place, tmp_path, path, absolute):
    os.makedirs("a", exist_ok=True)
    path = str(tmp_path / path) if absolute else path
    place(path)
    place(os.path.join(os.path.dirname(path), "other.model"))
    assert find_model(path) == path
    assert find_model(as_lammps_leaves(path)) == path


def test_bytes_that_are_no_utf8_but_a_file(place):
    name = os.fsdecode(b"mod\xb6l.model")
    place(name)
    place("modöl.model")  # LAMMPS would leave this the same
    assert find_model(name) == name


def test_two_files_fit(place):
    place("ö.model")
    place("Ķ.model")
    with pytest.raises(ModelFileError, match=r"path '\?.model', and 2 files fit .*-var model PATH"):
        find_model(as_lammps_leaves("ö.model"))


def test_no_file_fits(place):
    place("model/x.model")
    with pytest.raises(ModelFileError, match=r"path 'm\?d\?l/x.model', and no files fit"):
        find_model(as_lammps_leaves("mödèl/x.model"))


def test_a_path_in_ascii_stays(place):
    assert find_model("nothing.model") == "nothing.model"
