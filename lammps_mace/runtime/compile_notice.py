"""Compile notice: one line for the log while XLA compiles for longer than a second."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# What JAX tells just before XLA compiles a program, and after; it tells the same where it finds
# the program in its cache, which takes less time.
_BEGINS = "/jax/core/compile/jaxpr_to_mlir_module_duration"
_ENDS = "/jax/core/compile/backend_compile_duration"
_PATIENCE = 1.0  # s


@contextmanager
def compile_notice(say: Callable[[str], None]) -> Iterator[None]:
    """Call ``say`` with a line, once, when compiling a program takes longer than a second.

    Another thread calls it, for this one compiles; at the end of the context it does not any more.
    """
    import jax

    notice = _Notice(say)
    jax.monitoring.register_event_duration_secs_listener(notice.hear)
    try:
        yield
    finally:
        notice.end()


class _Notice:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say: Callable[[str], None] | None = say
        self._timer: threading.Timer | None = None

    def hear(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        """Begin or end waiting as JAX begins or ends compiling."""
        if event == _BEGINS and self._say is not None:
            self._stop()
            self._timer = threading.Timer(_PATIENCE, self._tell)
            self._timer.start()
        elif event == _ENDS:
            self._stop()

    def end(self) -> None:
        """Listen no more: JAX keeps its listeners for ever."""
        self._stop()
        self._say = None

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
            self._timer = None

    def _tell(self) -> None:
        import jax

        say, self._say = self._say, None
        config: Any = jax.config
        folder = config.jax_compilation_cache_dir
        kept = f"once; kept in {folder}" if folder else "at every start: there is no cache folder"
        if say is not None:
            say(f"lammps-mace: compiling the model ({kept})")
