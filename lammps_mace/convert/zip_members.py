"""Members of a zip that others wrote: sizes, names and methods are checked before one is read."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lammps_mace.errors import ConvertError

_MOST_DIRECTORY_BYTES = 2**22  # some ten thousand members
# Checkpoints are stored as they are; weights shrink a little, a bomb a thousandfold.
_MOST_EXPANSION, _EXPANSION_MATTERS = 100, 2**25
_ENCRYPTED = 1  # bit of a member's flags
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
)


def read_file(path: Path, most: int) -> bytes:
    """Return a whole file.

    Raises:
        ConvertError: it cannot be read, or has more than ``most`` bytes and a directory.
    """
    name = repr(str(path))
    if not path.is_file():
        raise ConvertError(f"{name} does not exist or is not a file")
    most += _MOST_DIRECTORY_BYTES
    try:
        if (size := path.stat().st_size) > most:
            raise ConvertError(f"{name} has {size:,} bytes; at most {most:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise ConvertError(f"cannot read {name}: {error.strerror or error}") from error


class _Source(io.BytesIO):
    """Bytes of a zip, whose directory zipfile reads in one piece when it opens the archive."""

    most = _MOST_DIRECTORY_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.most:
            raise ConvertError(f"a directory of {size:,} bytes; at most {self.most:,} are read")
        return super().read(size)


@contextmanager
def opened(data: bytes, what: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive; ``what`` is its name.

    Raises:
        ConvertError: it is damaged, also when that shows only as a member is read.
    """
    source = _Source(data)
    try:
        with zipfile.ZipFile(source) as archive:
            source.most = len(data)
            yield archive
    except ConvertError:
        raise
    except _DAMAGE as error:
        raise ConvertError(f"{what} is damaged: {error}; download or copy it again") from None


def check_members(
    infos: Iterable[zipfile.ZipInfo], what: str, size: int, most: Callable[[str], int], total: int
) -> None:
    """Check what is about to be read.

    Args:
        what, size: name and bytes of the archive.
        most: name of a member -> the most bytes that it may have.
        total: the most bytes of all members together, which may overlap in the archive.

    Raises:
        ConvertError: a name is there twice, or a member encrypted, packed as no checkpoint is, or
            too large.
    """
    infos = list(infos)
    name, count = Counter(info.filename for info in infos).most_common(1)[0] if infos else ("", 0)
    if count > 1:
        raise ConvertError(f"{what} has the member {name[:100]!r} {count} times")
    for info in infos:
        _check_member(info, most(info.filename))
    _check_expansion(what, size, sum(info.file_size for info in infos), total)


def listed(names: list[str]) -> str:
    """Return the first names of members, for a message."""
    shown = ", ".join(repr(name[:100]) for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "nothing"


def _check_member(info: zipfile.ZipInfo, most: int) -> None:
    name = repr(info.filename[:100])
    if info.flag_bits & _ENCRYPTED:
        raise ConvertError(f"{name} is encrypted; write the archive without a password")
    # Others may take any memory that the archive asks for.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ConvertError(
            f"{name} is packed by method {info.compress_type}; only stored and deflated members "
            "are read"
        )
    # zipfile never inflates more than the size it was told, so this bounds the memory.
    _check_expansion(name, info.compress_size, info.file_size, most)


def _check_expansion(name: str, packed: int, unpacked: int, most: int) -> None:
    if unpacked > most:
        raise ConvertError(f"{name} would unpack to {unpacked:,} bytes; at most {most:,} are read")
    if unpacked > _EXPANSION_MATTERS and unpacked > _MOST_EXPANSION * max(packed, 1):
        raise ConvertError(
            f"{name} would unpack from {packed:,} to {unpacked:,} bytes: "
            "that is a zip bomb, not a checkpoint"
        )
