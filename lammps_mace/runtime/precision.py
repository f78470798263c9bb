"""The precision that numbers are computed in, whatever JAX is set to in the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax


@contextmanager
def full_precision() -> Iterator[None]:
    """Within it float64 exists, and float32 products are not rounded to tf32 (no user's setting).

    A float32 array stays float32.
    """
    config: Any = jax.config
    if config.jax_enable_x64 and config.jax_default_matmul_precision == "highest":
        yield  # a run in LAMMPS is set so: to set it again takes 3 % of a step of 8 atoms
        return
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


@contextmanager
def constants() -> Iterator[None]:
    """Within it JAX computes what a cache may keep: at once, and the same at every first call.

    Also while a function is traced; in full precision; on the CPU where JAX has it.
    """
    with full_precision(), jax.default_device(_cpu()), jax.ensure_compile_time_eval():
        yield


def _cpu() -> Any:
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS leaves it out
        return None
