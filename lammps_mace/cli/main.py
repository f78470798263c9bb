"""The command `lammps-mace`: one module of lammps_mace.cli per sub-command."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from lammps_mace import __version__

COMMANDS = {
    "doctor": "check this installation: Python, JAX, MPI, LAMMPS, plugin, devices, cache",
    "convert": "make a model file, X.model, of a checkpoint of the mlip library",
    "committee": "make one model file of several, whose deviation LAMMPS then writes",
    "info": "show what a model file holds, and the lines for a LAMMPS input",
    "check": "compare LAMMPS with a plain evaluation of the same structure in one process",
    "estimate": "memory and communication of a run, before it is started",
    "bench": "time a model in LAMMPS",
    "run": "run a LAMMPS input with LAMMPS inside Python, where plain lmp cannot start Python",
    "build-plugin": "compile the plugin for a LAMMPS and an MPI of your own",
    "env": "print the shell variables with which any LAMMPS finds the plugin",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit status; 2 for input that cannot be used."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        return _unknown(arguments[0])
    if arguments[:1] == ["run"]:
        # LAMMPS's own options follow: they are not ours to parse.
        from lammps_mace.cli import run

        return run.main(arguments[1:])
    parser = _parser(arguments[:1])
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    options = parser.parse_args(arguments)
    try:
        status = module_of(options.command).run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `lammps-mace info X.model | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        if error.name != "ase":
            raise
        print(
            f"lammps-mace {options.command} needs ASE: pip install 'lammps-mace[tools]'",
            file=sys.stderr,
        )
        return 2
    except (ValueError, OSError) as error:
        print(f"lammps-mace {options.command}: {error}", file=sys.stderr)
        return 2


def module_of(command: str) -> Any:
    """Import and return the module of a sub-command."""
    return importlib.import_module(f"lammps_mace.cli.{command.replace('-', '_')}")


def _unknown(command: str) -> int:
    near = difflib.get_close_matches(command, COMMANDS, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COMMANDS)}"
    print(f"lammps-mace: no command {command!r}: {advice}", file=sys.stderr)
    return 2


def _parser(chosen: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lammps-mace", description="MACE potentials in LAMMPS")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        # Only the chosen one is imported: some need JAX, which takes a second to start.
        if name in chosen and name != "run":
            module_of(name).add_arguments(command)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
