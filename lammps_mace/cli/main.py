"""The command `lammps-mace`: one module of lammps_mace.cli per sub-command."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from lammps_mace import __version__

COMMANDS = {
    "bench": "time a model in LAMMPS",
    "convert": "convert a checkpoint of the mlip library to a model file",
    "check": "compare LAMMPS with a plain evaluation in one process",
    "doctor": "check this installation: Python, JAX, MPI, LAMMPS, plugin, devices, cache",
    "estimate": "pairs, exchange volume and memory of a run before it is started",
    "info": "show what a model file holds",
    "env": "print the shell variables with which any LAMMPS finds the plugin",
    "run": "run a LAMMPS input with LAMMPS hosted inside Python",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return the exit status: 0, or 2 for input that cannot be used."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["run"]:
        # LAMMPS's own options follow: they are not ours to parse.
        from lammps_mace.cli import run

        return run.main(arguments[1:])
    parser = _parser(arguments[:1])
    options = parser.parse_args(arguments)
    try:
        return importlib.import_module(f"lammps_mace.cli.{options.command}").run(options)
    except (ValueError, OSError) as error:
        print(f"lammps-mace {options.command}: {error}", file=sys.stderr)
        return 2


def _parser(chosen: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lammps-mace", description="MACE potentials in LAMMPS")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        # Only the chosen one is imported: some need JAX, which takes a second to start.
        if name in chosen and name != "run":
            importlib.import_module(f"lammps_mace.cli.{name}").add_arguments(command)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
