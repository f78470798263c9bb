"""Loads the C++ kernels, registers them with XLA and chooses their instruction set."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from itertools import count, takewhile
from pathlib import Path

import jax

ISA_VARIABLE = "LAMMPS_MACE_ISA"
_LIBRARY = "liblammps_mace_kernels.so"
TARGETS = (
    "edges_forward",
    "edges_backward",
    "contraction_forward",
    "contraction_backward",
    "linear",
    "radial",
    "twins",
    "pass_index",
    "ghost_exchange",
)


class KernelError(RuntimeError):
    """The C++ kernels cannot be used."""


def target(name: str) -> str:
    """Return the name of a custom call, the kernels being loaded and registered.

    Raises:
        KernelError: see :func:`load`.
    """
    load()
    return f"lammps_mace_{name}"


@cache
def load() -> ctypes.CDLL:
    """Load the library and register its functions with XLA, once.

    The widest vectors of this machine are used unless ``LAMMPS_MACE_ISA`` names others.

    Raises:
        KernelError: no library, one that this jaxlib refuses, or an instruction set that is unknown
            or that this machine lacks.
    """
    library = _open()
    library.lammps_mace_kernels_isa.restype = ctypes.c_char_p
    library.lammps_mace_kernels_name.restype = ctypes.c_char_p
    library.lammps_mace_kernels_use.argtypes = [ctypes.c_char_p]
    for name in TARGETS:
        symbol = f"lammps_mace_{name}"
        handler = jax.ffi.pycapsule(getattr(library, symbol))
        try:
            jax.ffi.register_ffi_target(symbol, handler, platform="cpu")
        except Exception as error:
            raise KernelError(
                f"this jaxlib does not take the kernels ({error}); install a jaxlib as new as the "
                "one lammps-mace was built with"
            ) from error
    wanted = os.environ.get(ISA_VARIABLE)
    if wanted:
        _use(library, wanted, f"{ISA_VARIABLE}=")
    return library


def _open() -> ctypes.CDLL:
    import lammps_mace

    folders = [Path(folder) / "lib" for folder in lammps_mace.__path__]
    for path in (folder / _LIBRARY for folder in folders):
        if path.exists():
            return ctypes.CDLL(str(path))
    places = ", ".join(map(str, folders))
    raise KernelError(f"{_LIBRARY} is not in {places}; install lammps-mace with pip")


def instruction_set() -> str:
    """Return the instruction set in use, one of :func:`instruction_sets`."""
    return load().lammps_mace_kernels_isa().decode()


def instruction_sets() -> tuple[str, ...]:
    """Return those that were compiled for this kind of processor, narrowest first.

    "sse2", "avx2" and "avx512" on x86-64, "neon" on aarch64, "plain" elsewhere.
    """
    return _names(load())


def _names(library: ctypes.CDLL) -> tuple[str, ...]:
    found = iter(map(library.lammps_mace_kernels_name, count()))
    return tuple(name.decode() for name in takewhile(bool, found))[::-1]


def use_instruction_set(name: str) -> None:
    """Choose the instruction set for all calls from now on.

    Raises:
        KernelError: an unknown name, or one that this machine lacks.
    """
    _use(load(), name, "instruction set ")


def _use(library: ctypes.CDLL, name: str, what: str) -> None:
    status = library.lammps_mace_kernels_use(name.encode())
    if status == 1:
        raise KernelError(f"{what}{name}: unknown; there is {', '.join(_names(library))}")
    if status:
        raise KernelError(
            f"{what}{name}: this machine lacks it; leave it out or name a narrower one"
        )
