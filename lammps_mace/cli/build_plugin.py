"""``lammps-mace build-plugin``: compile what belongs to a LAMMPS and its MPI, for this package.

The plugin itself loads into any LAMMPS. The library that it opens there, ``STYLE``, is bound to the
classes of one version and to one MPI; this command compiles another, beside that of the wheel.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

from lammps_mace.coupling.entry_point import plugin_folder

STYLE = "liblammps_mace_style.so"


class BuildError(ValueError):
    """The plugin cannot be compiled; the text says why, and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--lammps", required=True, type=Path, metavar="DIR",
        help="source tree of LAMMPS (has src/), or where it is installed (has include/lammps/)",
    )  # fmt: skip
    parser.add_argument(
        "--mpi", required=True, metavar="DIR",
        help="MPI of that LAMMPS: where it is installed, the folder of its mpi.h, or its mpicxx",
    )  # fmt: skip
    parser.add_argument(
        "--sizes", choices=("smallbig", "bigbig"), default="smallbig",
        help="LAMMPS_SIZES of a source tree; an installed LAMMPS tells it",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="DIR",
        help="a plugin folder to make, which env then names; default: the package's",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Compile and put it into its folder; print for which LAMMPS it is."""
    cmake, mpi = _tool("cmake"), _mpi(options.mpi)
    package = Path(plugin_folder())
    folder = package if options.output is None else options.output.absolute()
    _prepare(folder, package)
    with tempfile.TemporaryDirectory() as name:
        configure = [
            cmake, "-S", str(package.parent / "source"), "-B", name,
            f"-DCMAKE_INSTALL_PREFIX={folder}", f"-DLAMMPS_MACE_MPI={mpi}",
            f"-DLAMMPS_MACE_LAMMPS={options.lammps.absolute()}",
            f"-DLAMMPS_MACE_SIZES={options.sizes}",
        ]  # fmt: skip
        _run(configure)
        cores = str(len(os.sched_getaffinity(0)))
        _run([cmake, "--build", name, "--target", "style", "--parallel", cores])
        _run([cmake, "--install", name])
        [made] = Path(name, "install_manifest.txt").read_text().splitlines()
    print(f"{made} is for {describe(Path(made).parent.name)}. That LAMMPS finds it after")
    where = "" if options.output is None else f" --plugin {shlex.quote(str(folder))}"
    print(f'eval "$(lammps-mace env{where})"')
    return 0


def describe(name: str) -> str:
    """Return "LAMMPS 4 Jul 2026 with Open MPI" of the folder name 20260704-openmpi."""
    version, mpi, *sizes = name.split("-")
    date = time.strptime(version, "%Y%m%d")
    known = {"openmpi": "Open MPI", "mpich": "MPICH"}
    words = f"LAMMPS {date.tm_mday} {time.strftime('%b %Y', date)} with {known.get(mpi, mpi)}"
    return " ".join([words, *sizes])


def built_for() -> list[str]:
    """Return for which LAMMPS the plugin folders have more than the wheel's library, in words."""
    folders = [plugin_folder(), *os.environ.get("LAMMPS_PLUGIN_PATH", "").split(os.pathsep)]
    found = [path for one in dict.fromkeys(folders) if one for path in Path(one).glob(f"*/{STYLE}")]
    return [describe(path.parent.name) for path in sorted(found)]


def _tool(name: str) -> str:
    own = Path(sysconfig.get_path("scripts"), name)
    found = str(own) if own.is_file() else shutil.which(name)
    if not found:
        raise BuildError(f"no {name} in PATH: pip install {name}, or load your cluster's module")
    return found


def _mpi(given: str) -> str:
    """Return a folder or a compiler wrapper as an absolute path."""
    if Path(given).is_dir():
        return str(Path(given).absolute())
    if found := shutil.which(given):
        return found
    raise BuildError(
        f"--mpi {given}: neither a folder nor a program: name where the MPI of that LAMMPS is "
        "installed, the folder of its mpi.h, or its mpicxx"
    )


def _prepare(folder: Path, package: Path) -> None:
    """Make a plugin folder of it: one that can be written and has what the wheel has."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder != package:
            for file in ("lammpsmaceplugin.so", STYLE):
                shutil.copy(package / file, folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BuildError(
            f"{folder} cannot be written ({error.strerror}): name a folder of yours with --output, "
            "or install lammps-mace in an environment of your own (python -m venv)"
        ) from None


def _run(command: list[str]) -> None:
    """Run a step; raise BuildError with what CMake or the compiler says where it fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if done.returncode == 0:
        return
    if said := re.search(r"CMake Error.*?\n((?:  .*\n|\n)+)", done.stdout):
        raise BuildError(" ".join(said[1].split()))
    lines = done.stdout.splitlines()
    errors = [line for line in lines if "error: " in line][:3] or lines[-10:]
    raise BuildError("the plugin does not compile:\n" + "\n".join(errors))
