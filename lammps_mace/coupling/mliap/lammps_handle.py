"""The LAMMPS that runs this process, through its C library: what ML-IAP does not tell a model."""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

_WORD = 8
# A LAMMPS object holds, word by word: the object's virtual table, the address L of LAMMPS, then a
# reference to each of the pointers that LAMMPS itself starts with: L, L + 8, L + 16, ...
_REFERENCES = 10
# The seventh and the eighth of these pointers, and the classes of what they point to.
_NEIGHBOR, _NEIGHBOR_CLASSES = 6, ("Neighbor", "NeighborKokkos")
_COMM, _COMM_CLASSES = 7, ("CommBrick", "CommTiled", "CommKokkos", "CommTiledKokkos")
_WARNING = 0  # LMP_ERROR_WARNING


@dataclass(frozen=True)
class Lammps:
    """One running LAMMPS.

    Attributes:
        handle: address of LAMMPS, first argument of its C library.
        library: LAMMPS's functions.
    """

    handle: int
    library: Any

    @property
    def units(self) -> str:
        """The unit style of the input script."""
        text = self._global("units", ctypes.c_char_p)
        return ctypes.cast(text, ctypes.c_char_p).value.decode(errors="replace")  # type: ignore[union-attr]

    @property
    def version(self) -> int:
        """LAMMPS's version as a number, such as 20260704; development builds have their last's."""
        return self.library.lammps_version(ctypes.c_void_p(self.handle))

    @property
    def step(self) -> int:
        """The current time step."""
        return self._numbers("ntimestep", ctypes.c_int64)[0]

    @property
    def skin_angstrom(self) -> float:
        """What neighbour lists reach beyond the cutoff."""
        return self._numbers("neigh_skin", ctypes.c_double)[0]

    @property
    def comm(self) -> int | None:
        """Fortran handle of the communicator of this LAMMPS; None in a LAMMPS without MPI."""
        handle = self.library.lammps_get_mpi_comm(ctypes.c_void_p(self.handle))
        return None if handle == -1 else handle

    @property
    def kspace(self) -> bool:
        """Whether the script has a kspace_style; False where LAMMPS does not tell."""
        text = self._global("kspace_style", ctypes.c_char_p)
        return ctypes.cast(text, ctypes.c_char_p).value not in (None, b"none")

    @property
    def special_bonds(self) -> bool:
        """Whether pairs of bonded atoms are left out of the neighbour list."""
        if not self._setting("molecule_flag"):
            return False
        both = [self._numbers(f"special_{name}", ctypes.c_double, 4) for name in ("lj", "coul")]
        return any(lj == coul == 0.0 for lj, coul in list(zip(*both, strict=True))[1:])

    def tags(self, n: int) -> np.ndarray | None:
        """Return the IDs of the first ``n`` own and ghost atoms; None where atoms have none."""
        kind = ctypes.c_int64 if self._setting("tagint") == 8 else ctypes.c_int32
        self.library.lammps_extract_atom.restype = ctypes.c_void_p
        address = self.library.lammps_extract_atom(ctypes.c_void_p(self.handle), b"id")
        return np.array((kind * n).from_address(address)) if address else None

    def communication_cutoff(self) -> float | None:
        """Return how far from its own region a rank sees ghosts, Å; None if that is not known."""
        name = "_ZN9LAMMPS_NS4Comm15get_comm_cutoffEv"
        return self._ask(_COMM, _COMM_CLASSES, name, ctypes.c_double)

    def exclusions(self) -> bool:
        """Return whether lists leave out atoms or pairs; False where LAMMPS does not tell."""
        name = "_ZN9LAMMPS_NS8Neighbor15exclude_settingEv"
        return bool(self._ask(_NEIGHBOR, _NEIGHBOR_CLASSES, name, ctypes.c_int))

    def warn(self, text: str) -> None:
        """Print a warning to the screen and the log file; on rank 0 only."""
        self.library.lammps_error(
            ctypes.c_void_p(self.handle), _WARNING, text.encode(errors="backslashreplace")
        )
        self.library.fflush(None)  # the process may be about to end

    def _ask(self, pointer: int, classes: tuple[str, ...], name: str, result: Any) -> Any:
        """Return what a function without arguments says; None where its object is unknown."""
        address = _words(self.handle + pointer * _WORD, 1)[0]
        function = _symbol(name, self.library)
        if function is None or _words(address, 1)[0] not in _virtual_tables(self.library, classes):
            return None
        function.restype = result
        return function(ctypes.c_void_p(address))

    def _setting(self, name: str) -> int:
        return self.library.lammps_extract_setting(ctypes.c_void_p(self.handle), name.encode())

    def _global(self, name: str, kind: Any) -> Any:
        self.library.lammps_extract_global.restype = ctypes.c_void_p
        address = self.library.lammps_extract_global(ctypes.c_void_p(self.handle), name.encode())
        return ctypes.cast(address, ctypes.POINTER(kind) if kind is not ctypes.c_char_p else kind)

    def _numbers(self, name: str, kind: Any, n: int = 1) -> list[Any]:
        return self._global(name, kind)[:n]


def find_lammps(interface: Any) -> Lammps | None:
    """Return the LAMMPS behind an ML-IAP interface object, or None where it cannot be recognised.

    ML-IAP gives a model no handle of LAMMPS, but its interface object points to one of LAMMPS's
    objects, and these all begin alike (see _REFERENCES). Memory is read so that a wrong guess is
    an error, not a crash.
    """
    library = ctypes.CDLL(None)
    if _symbol("lammps_extract_global", library) is None:
        return None
    # After the two words of every Python object come the attributes of the interface.
    start = 2 * _WORD
    size = type(interface).__basicsize__
    for address in _words(id(interface) + start, (size - start) // _WORD):
        if (found := _lammps_of(address)) is not None:
            return Lammps(found, library)
    return None


def communicator(lammps: Lammps | None) -> int | None:
    """Return the Fortran handle of the ranks that work together; None without MPI."""
    if lammps is not None:
        return lammps.comm
    flag = ctypes.c_int(0)
    try:
        ctypes.CDLL(None).MPI_Initialized(ctypes.byref(flag))
    except AttributeError:
        return None
    if not flag.value:
        return None
    from mpi4py import MPI

    return MPI.COMM_WORLD.py2f()


def _lammps_of(address: int) -> int | None:
    try:
        _, lammps, *references = _words(address, 2 + _REFERENCES)
    except OSError:
        return None
    expected = [lammps + k * _WORD for k in range(_REFERENCES)]
    return lammps if lammps and references == expected else None


def _words(address: int, n: int) -> tuple[int, ...]:
    """Return ``n`` words of this process's memory; OSError where there is none."""
    memory = os.open("/proc/self/mem", os.O_RDONLY)
    try:
        data = os.pread(memory, n * _WORD, address)
    except OverflowError:
        raise OSError(f"{address:#x} is no address") from None
    finally:
        os.close(memory)
    if len(data) < n * _WORD:
        raise OSError(f"{address:#x} is not readable")
    return struct.unpack(f"{n}Q", data)


def _symbol(name: str, library: Any) -> Any:
    try:
        return getattr(library, name)
    except AttributeError:
        return None


def _virtual_tables(library: Any, classes: tuple[str, ...]) -> list[int]:
    """Return what the first word of an object of these classes can be."""
    names = (f"_ZTVN9LAMMPS_NS{len(name)}{name}E" for name in classes)
    symbols = [_symbol(name, library) for name in names]
    # An object points behind the table's first two entries.
    return [ctypes.cast(s, ctypes.c_void_p).value + 2 * _WORD for s in symbols if s is not None]  # type: ignore[operator]
