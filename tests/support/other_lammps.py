"""LAMMPS 4 Jul 2026 with ML-IAP, PYTHON and PLUGIN: built once, kept in a cache folder.

The source is the folder LAMMPS_SOURCE_DIR (or ../shared/lammps beside the repository): a source
tree, or a folder with lammps-*.tar.xz. LAMMPS_MACE_TEST_CACHE (or the user's cache folder) keeps
what was built, one folder per source, compiler, Python and recipe.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import programs

HERE = Path(__file__).parent
PACKAGES = ("ML-IAP", "ML-SNAP", "PYTHON", "PLUGIN")
# -O0: a third of the compile time, and the tests have few atoms.
OPTIONS = (
    "-G", "Ninja",
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_CXX_FLAGS_RELEASE=-O0",
    f"-DCMAKE_PROJECT_lammps_INCLUDE={HERE / 'precompile.cmake'}",
    "-DBUILD_SHARED_LIBS=on",
    "-DBUILD_MPI=on",
    "-DBUILD_OMP=off",
    "-DBUILD_TOOLS=off",
    "-DMLIAP_ENABLE_PYTHON=on",
    *(f"-DPKG_{package}=on" for package in PACKAGES),
    *(f"-DWITH_{library}=off" for library in ("JPEG", "PNG", "GZIP", "FFMPEG", "CURL")),
)  # fmt: skip


@dataclass(frozen=True)
class OtherLammps:
    """An installed LAMMPS.

    Attributes:
        prefix: where it is installed; its Python module is in prefix/python.
    """

    prefix: Path

    @property
    def program(self) -> Path:
        """The executable."""
        return self.prefix / "bin" / "lmp"

    @property
    def environment(self) -> dict[str, str]:
        """Variables to run it with this environment's Python and MPI."""
        libraries = [
            self.prefix / "lib",
            Path(sys.prefix) / "lib",
            sysconfig.get_config_var("LIBDIR"),
        ]
        return {
            # The embedded Python is the one of the environment that `python` comes from.
            "PATH": programs.PATH,
            "PYTHONPATH": str(self.prefix / "python"),
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
        }


def find_source() -> Path | None:
    """Return LAMMPS's source, a tree or an archive, or None."""
    given = os.environ.get("LAMMPS_SOURCE_DIR")
    folder = Path(given) if given else HERE.parents[2] / "shared" / "lammps"
    if (folder / "cmake" / "CMakeLists.txt").is_file():
        return folder
    return next(iter(sorted(folder.glob("lammps-*.tar.xz"))), None)


def missing() -> str | None:
    """Return why it cannot be built here, or None when it can."""
    if find_source() is None:
        return "no LAMMPS source: set LAMMPS_SOURCE_DIR"
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        return "this Python has no shared libpython, which ML-IAP needs"
    tools = [tool for tool in ("cmake", "ninja", "mpicxx", "cython") if _tool(tool) is None]
    return f"not in this environment: {', '.join(tools)}" if tools else None


def build() -> OtherLammps:
    """Return the LAMMPS, built now if the cache has none."""
    source = find_source()
    assert source is not None
    prefix = _cache() / f"lammps-{_key(source)}"
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{prefix}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (prefix / "complete").is_file():
            shutil.rmtree(prefix, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=prefix.parent) as folder:
                _build(source, Path(folder), prefix)
            (prefix / "complete").touch()
    return OtherLammps(prefix)


def build_plugin(lammps: OtherLammps, folder: Path, mpi: str = "mpicxx") -> Path:
    """Make a plugin folder for an installed LAMMPS and its MPI, as users do; return the folder."""
    command = [
        str(programs.SCRIPTS / "lammps-mace"), "build-plugin", "--lammps", str(lammps.prefix),
        "--mpi", str(_tool(mpi)), "--output", str(folder),
    ]  # fmt: skip
    _run(command, CMAKE_BUILD_TYPE="Debug")  # half the time
    return folder


def _build(source: Path, folder: Path, prefix: Path) -> None:
    if source.is_file():
        with tarfile.open(source) as archive:
            # An argument of extractall only since Python 3.11.4.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder / "source")
        source = next((folder / "source").iterdir())
        # A part of the source may be without these, which are installed too.
        (source / "doc" / "lammps.1").touch()
        for name in ("bench", "potentials"):
            (source / name).mkdir(exist_ok=True)
    configure = [
        "-S", str(source / "cmake"), "-B", str(folder / "build"),
        f"-DCMAKE_INSTALL_PREFIX={prefix}", f"-DCMAKE_MAKE_PROGRAM={_tool('ninja')}",
        f"-DMPI_CXX_COMPILER={_tool('mpicxx')}",
        f"-DPython_EXECUTABLE={sys.executable}", f"-DPython_ROOT_DIR={sys.prefix}",
    ]  # fmt: skip
    _run([_tool("cmake"), *configure, *OPTIONS])
    _run([_tool("cmake"), "--build", str(folder / "build"), "--target", "install"])
    # Its examples have links to tools that a part of the source may be without.
    leave = shutil.ignore_patterns("examples")
    shutil.copytree(source / "python", prefix / "python", ignore=leave)


def _run(command: list[str], **variables: str) -> None:
    environment = {**os.environ, "PATH": programs.PATH, **variables}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-5000:]}")


def _tool(name: str) -> str | None:
    place = programs.SCRIPTS / name
    return str(place) if place.is_file() else shutil.which(name)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("LAMMPS_MACE_TEST_CACHE") or Path(base) / "lammps-mace-tests")


def _key(source: Path) -> str:
    """Return a name for everything that the build depends on."""
    compiler = subprocess.run(["c++", "--version"], capture_output=True, text=True).stdout
    recipe = "".join(OPTIONS[3:]) + (HERE / "precompile.cmake").read_text()
    parts = hashlib.sha256(f"{compiler}{sys.version}{recipe}".encode())
    files = [source] if source.is_file() else sorted((source / "src").rglob("*.[ch]*"))
    for file in files:
        parts.update(file.read_bytes())
    return parts.hexdigest()[:16]
