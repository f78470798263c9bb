"""Progress: what a command is busy with, on a terminal; elsewhere a line once it takes long."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 2.0  # s


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show on stderr that ``text`` is under way: with a clock on a terminal, which disappears.

    Elsewhere one plain line, and only where it takes longer than two seconds.
    """
    if sys.stderr.isatty():
        with _clock(text):
            yield
        return
    timer = threading.Timer(_PATIENCE, _print, [f"lammps-mace: {text} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _clock(text: str) -> Iterator[None]:
    # Not at the top: most commands are over before this is imported.
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        shown.add_task(text, total=None)
        yield


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
