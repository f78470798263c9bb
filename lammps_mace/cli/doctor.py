"""`lammps-mace doctor`: one table of what a run needs, each row ok or with its remedy."""

from __future__ import annotations

import argparse
import textwrap

from lammps_mace.cli.diagnosis import CHECKS, Row, diagnose


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help=f"only these of: {', '.join(CHECKS)}"
    )


def run(options: argparse.Namespace) -> int:
    """Print the table; return 0 when every row is ok, 1 when not."""
    if unknown := [name for name in options.rows if name not in CHECKS]:
        raise ValueError(f"no row {unknown[0]!r}; there are {', '.join(CHECKS)}")
    rows = diagnose(options.rows or list(CHECKS))
    for row in rows:
        print(_line(row))
    return 0 if all(row.good for row in rows) else 1


def _line(row: Row) -> str:
    head = f"{row.name:<10}{'ok' if row.good else 'NOT OK':<8}"
    # Paths stay whole, to be copied.
    return textwrap.fill(
        row.text, 110, initial_indent=head, subsequent_indent=" " * 18,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
