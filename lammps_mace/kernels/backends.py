"""Backends: which implementation of an operation runs."""

from __future__ import annotations

import importlib
from typing import Any

_BACKENDS = ("xla", "cpu", "gpu")


def implementation(operation: str, backend: str) -> Any:
    """Return the module that implements an operation, imported when first asked for.

    Raises:
        ValueError: there is no such backend.
    """
    if backend not in _BACKENDS:
        raise ValueError(f"backend={backend!r}: use one of {', '.join(map(repr, _BACKENDS))}")
    return importlib.import_module(f"lammps_mace.kernels.{operation}.{backend}")
