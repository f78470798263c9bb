"""Python's garbage collector while a run starts."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Within it Python does not look for garbage in cycles, or as before if it did not anyway.

    A start makes a million objects that stay: to look through them again and again takes a sixth
    of its time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
