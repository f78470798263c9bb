"""The cache folder: made for its owner alone, refused where others can write, per machine."""

import os
import re
import stat
import warnings
from pathlib import Path

import pytest

from lammps_mace.runtime import cache
from lammps_mace.runtime.cache import CacheWarning, notices, private_folder, processor

STRANGER = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    path = tmp_path / "some" / "cache"
    monkeypatch.setenv("LAMMPS_MACE_CACHE", str(path))
    return path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_are_made_for_the_user_alone(folder):
    before = os.umask(0)
    try:
        made = private_folder("xla", "here")
    finally:
        os.umask(before)
    assert made == folder / "xla" / "here"
    assert [mode(path) for path in (folder, folder / "xla", made)] == [0o700] * 3
    assert private_folder("xla", "here") == made


@pytest.mark.parametrize("which", [".", "xla", "xla/here"])
@pytest.mark.parametrize("others", [0o020, 0o002])
def test_folder_that_others_can_write(folder, which, others):
    private_folder("xla", "here")
    path = folder / which
    path.chmod(0o700 | others)
    repair = f"the cache is not used: others can write to {path} .mode {0o700 | others:o}.: chmod"
    with pytest.warns(CacheWarning, match=f"{repair} go-w {path} .* LAMMPS_MACE_CACHE"):
        assert private_folder("xla", "here") is None
    path.chmod(0o755)  # others may read
    assert private_folder("xla", "here") == folder / "xla" / "here"


@as_root
def test_folder_of_somebody_else(folder):
    os.chown(private_folder("splines"), STRANGER, STRANGER)
    with pytest.warns(CacheWarning, match=f"splines belongs to user {STRANGER}, not to you"):
        assert private_folder("splines") is None
    assert private_folder("xla") is not None


def test_no_folder_can_be_made(folder):
    folder.parent.mkdir()
    folder.write_text("a file")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert private_folder("xla") is None


def test_user_without_a_home(monkeypatch):
    for name in ("LAMMPS_MACE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 987654)  # of a container: no name, no home
    assert private_folder("xla") is None


def test_a_missing_file_has_no_owner(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        cache.distrust(tmp_path / "nothing")


CPUINFO = """processor\t: {number}
vendor_id\t: GenuineIntel
model\t\t: 143
stepping\t: 8
cpu MHz\t\t: {speed}
flags\t\t: fpu sse2 {flags}

processor\t: 1
flags\t\t: none
"""


def test_name_of_a_processor(monkeypatch):
    assert re.fullmatch(r"\w+-[0-9a-f]{12}", processor())
    kinds = {}
    for case in ((0, 2000, "avx2"), (0, 3100, "avx2"), (0, 2000, "avx2 avx512f")):
        text = CPUINFO.format(number=case[0], speed=case[1], flags=case[2])
        monkeypatch.setattr(Path, "read_text", lambda path, text=text: text)
        kinds[case] = processor()
    same, faster, wider = kinds.values()
    assert same == faster != wider


def test_notices_come_once_and_others_pass():
    def say():
        with notices() as found:
            for text in ("the cache", "the cache"):
                warnings.warn(text, CacheWarning, stacklevel=1)
            warnings.warn("something else", UserWarning, stacklevel=1)
        return found

    with pytest.warns(UserWarning, match="something else"):
        assert say() == ["the cache"]
