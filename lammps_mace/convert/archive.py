"""Read mlip's zip archives without trusting them: sizes, types and contents are checked first."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lammps_mace.convert.npy import read_array
from lammps_mace.errors import ConvertError, UnusableFileError
from lammps_mace.modelfile.validation import MOST_JSON_BYTES, parse_json

HYPERPARAMS, PARAMS = "hyperparams.json", "params.npz"
_MOST_BYTES = {HYPERPARAMS: MOST_JSON_BYTES, PARAMS: 2**31}
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


@dataclass(frozen=True)
class Archive:
    """Contents of a checkpoint.

    Attributes:
        hyperparams: of ``hyperparams.json``.
        params: parameter name, levels joined by '#' -> float array.
    """

    hyperparams: dict[str, Any]
    params: dict[str, np.ndarray]

    def section(self, name: str) -> dict[str, Any]:
        """Return one section of the hyper-parameters.

        Raises:
            ConvertError: it is missing or not a JSON object.
        """
        value = self.hyperparams.get(name)
        if not isinstance(value, dict):
            raise ConvertError(f"{HYPERPARAMS} has no object {name!r}: not a checkpoint of mlip")
        return dict(value)


def read_archive(path: str | os.PathLike[str]) -> Archive:
    """Read a zip with ``hyperparams.json`` and ``params.npz``; nothing is ever unpickled.

    Raises:
        ConvertError: not a zip, damaged, incomplete, or larger than any model.
    """
    name = repr(str(path))
    if not os.path.isfile(path):
        raise ConvertError(f"{name} does not exist or is not a file")
    try:
        data = _read_file(Path(path))
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise ConvertError(f"{name} is not a zip archive, or a truncated one")
        members = _members(data, name, (HYPERPARAMS, PARAMS))
        return Archive(parse_json(members[HYPERPARAMS], HYPERPARAMS), _arrays(members[PARAMS]))
    except OSError as error:
        raise ConvertError(f"cannot read {name}: {error.strerror or error}") from error
    except UnusableFileError as error:
        raise ConvertError(str(error)) from None


def _read_file(path: Path) -> bytes:
    most = sum(_MOST_BYTES.values()) + _MOST_DIRECTORY_BYTES
    if (size := path.stat().st_size) > most:
        raise ConvertError(f"{str(path)!r} has {size:,} bytes; at most {most:,} are read")
    return path.read_bytes()


class _Source(io.BytesIO):
    """Bytes of a zip, whose directory zipfile reads in one piece when it opens the archive."""

    most = _MOST_DIRECTORY_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.most:
            raise ConvertError(f"a directory of {size:,} bytes; at most {self.most:,} are read")
        return super().read(size)


def _members(data: bytes, what: str, wanted: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Return the members of an archive, all or the wanted ones; ``what`` is its name.

    Raises:
        ConvertError: it is damaged, unsafe, or lacks a wanted member.
    """
    source = _Source(data)
    try:
        with zipfile.ZipFile(source) as archive:
            source.most = len(data)
            infos = _checked_infos(archive, len(data), what, wanted)
            return {info.filename: archive.read(info) for info in infos}
    except ConvertError:
        raise
    except _DAMAGE as error:
        raise ConvertError(f"{what} is damaged: {error}") from None


def _checked_infos(
    archive: zipfile.ZipFile, size: int, what: str, wanted: tuple[str, ...]
) -> list[zipfile.ZipInfo]:
    names = archive.namelist()
    for name in wanted:
        if name not in names:
            raise ConvertError(
                f"{what} has no member {name!r}: not a checkpoint of mlip; "
                f"it holds {_listed(names)}"
            )
    infos = [info for info in archive.infolist() if not wanted or info.filename in wanted]
    name, count = Counter(info.filename for info in infos).most_common(1)[0] if infos else ("", 0)
    if count > 1:
        raise ConvertError(f"{what} has the member {name[:100]!r} {count} times")
    for info in infos:
        _check_member(info, _MOST_BYTES.get(info.filename, _MOST_BYTES[PARAMS]))
    # Members may overlap in the archive: together they are bounded too.
    total = sum(info.file_size for info in infos)
    _check_expansion(what, size, total, sum(_MOST_BYTES.values()))
    return infos


def _listed(names: list[str]) -> str:
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


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for member, content in _members(data, PARAMS).items():
        name = member.removesuffix(".npy")
        if name in arrays:
            raise ConvertError(f"{PARAMS} has the parameter {name[:100]!r} twice")
        arrays[name] = read_array(name, content)
    return arrays
