"""What `lammps-mace build-plugin` refuses. What it makes runs in test_other_lammps.py."""

import os
import re
import subprocess

import pytest
from programs import PATH, SCRIPTS

from lammps_mace.cli import build_plugin

COMMAND = [SCRIPTS / "lammps-mace", "build-plugin"]


@pytest.fixture
def lammps(tmp_path):
    """Return a folder that looks like a source tree; nothing in it compiles."""
    folder = tmp_path / "lammps"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "pair.h").touch()
    (folder / "src" / "version.h").write_text('#define LAMMPS_VERSION "4 Jul 2026"\n')
    return folder


@pytest.fixture
def refusal(tmp_path, lammps):
    """Return a function that runs the command and gives its one line of complaint."""

    def run(**options):
        options = {"lammps": lammps, "mpi": SCRIPTS / "mpicxx", "output": tmp_path / "p", **options}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        done = subprocess.run([*COMMAND, *words], env={**os.environ, "PATH": PATH},
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 2, done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr

    return run


def test_what_is_no_lammps(refusal, lammps, tmp_path):
    (lammps / "src" / "version.h").write_text('#define LAMMPS_VERSION "29 Aug 2024"\n')
    old = f"LAMMPS 20240829 in {lammps}: the plugin needs 22 Jul 2025 or newer"
    assert old in refusal()
    (lammps / "src" / "version.h").unlink()
    assert f"No version of LAMMPS in {lammps} (src/version.h or LAMMPS" in refusal()
    assert f"{tmp_path} is neither a source tree (src/pair.h) nor" in refusal(lammps=tmp_path)


def test_what_is_no_mpi(refusal, tmp_path):
    assert "--mpi nompi: neither a folder nor a program: name where" in refusal(mpi="nompi")
    for given in (tmp_path, "c++"):
        assert "leads to no mpi.h: name where the MPI is installed" in refusal(mpi=given)


def test_an_output_that_cannot_be_written(refusal, lammps):
    output = lammps / "src" / "pair.h" / "p"
    assert f"{output} cannot be written (Not a directory): name a folder" in refusal(output=output)


def test_the_compiler_is_heard(refusal):
    said = refusal()
    assert "the plugin does not compile:\n" in said
    assert re.search(r"plugin/\w+\.cpp:\d+:\d+: fatal error: \w+\.h: No such file", said)


def test_without_cmake(monkeypatch):
    monkeypatch.setattr(build_plugin.sysconfig, "get_path", lambda name: "/no")
    monkeypatch.setenv("PATH", "/no")
    with pytest.raises(build_plugin.BuildError, match="no cmake in PATH: pip install cmake, or"):
        build_plugin._tool("cmake")


def test_what_there_is_in_words(monkeypatch, tmp_path):
    for name in ("20260704-openmpi", "20250722-mpich-bigbig"):
        (tmp_path / name).mkdir()
        (tmp_path / name / build_plugin.STYLE).touch()
    monkeypatch.setenv("LAMMPS_PLUGIN_PATH", f"{tmp_path}:")
    assert build_plugin.built_for()[-2:] == [
        "LAMMPS 22 Jul 2025 with MPICH bigbig", "LAMMPS 4 Jul 2026 with Open MPI",
    ]  # fmt: skip


def test_env_names_the_folder(tmp_path):
    command = [SCRIPTS / "lammps-mace", "env", "--plugin", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"--plugin {tmp_path}: no lammpsmaceplugin.so in it: name the folder" in done.stderr
    (tmp_path / "lammpsmaceplugin.so").touch()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"export LAMMPS_PLUGIN_PATH={tmp_path}\n" in done.stdout
