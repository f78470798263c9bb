"""``lammps-mace env``: what a LAMMPS that was not installed by pip needs to find the plugin."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from lammps_mace.coupling.entry_point import plugin_folder

VARIABLES = ("LAMMPS_MACE_PYTHON", "LAMMPS_MACE_LIBPYTHON", "LAMMPS_MACE_BRIDGE")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.epilog = 'use it as: eval "$(lammps-mace env)"'
    parser.add_argument(
        "--plugin", type=Path, metavar="DIR",
        help="the folder that `lammps-mace build-plugin --output DIR` made; default: the package's",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Print export lines for the shell; return 2 where there is no plugin."""
    folder = plugin_folder()
    if not folder:
        return 2
    others = [p for p in os.environ.get("LAMMPS_PLUGIN_PATH", "").split(os.pathsep) if p]
    if options.plugin is not None:
        if not (options.plugin / "lammpsmaceplugin.so").is_file():
            raise ValueError(
                f"--plugin {options.plugin}: no lammpsmaceplugin.so in it: name the folder that "
                "`lammps-mace build-plugin --output DIR` made"
            )
        others = [other for other in others if other != folder]  # LAMMPS takes the first it finds
        folder = str(options.plugin.absolute())
    folders = dict.fromkeys([*others, folder])
    values = {"LAMMPS_PLUGIN_PATH": os.pathsep.join(folders)}
    values |= {name: os.environ[name] for name in VARIABLES}
    for name, value in values.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0
