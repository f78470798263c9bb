"""Read mlip's zip archives without trusting them: sizes, types and contents are checked first."""

from __future__ import annotations

import io
import json
import math
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HYPERPARAMS, PARAMS = "hyperparams.json", "params.npz"
_MOST_BYTES = {HYPERPARAMS: 2**24, PARAMS: 2**31}
# Checkpoints are stored as they are; weights shrink a little, a bomb a thousandfold.
_MOST_EXPANSION, _EXPANSION_MATTERS = 100, 2**25
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
)


class ConvertError(ValueError):
    """A checkpoint that cannot be converted; the message says why."""


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
    path = Path(path)
    if not path.is_file():
        raise ConvertError(f"{str(path)!r} does not exist or is not a file")
    if not zipfile.is_zipfile(path):
        raise ConvertError(f"{str(path)!r} is not a zip archive, or a truncated one")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
            text, weights = _read(archive, HYPERPARAMS), _read(archive, PARAMS)
    except ConvertError:
        raise
    except _DAMAGE as error:
        raise ConvertError(f"{str(path)!r} is damaged: {error}") from None
    return Archive(_parse_json(text), _read_arrays(weights))


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    names = archive.namelist()
    for name in (HYPERPARAMS, PARAMS):
        if name not in names:
            raise ConvertError(
                f"{str(path)!r} has no member {name!r}: not a checkpoint of mlip; "
                f"it holds {_listed(names)}"
            )


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "nothing"


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    _check_size(name, info, _MOST_BYTES[name])
    return archive.read(info)


def _check_size(name: str, info: zipfile.ZipInfo, most: int) -> None:
    # zipfile never inflates more than the size it was told, so this bounds the memory.
    if info.file_size > most:
        raise ConvertError(
            f"{name!r} would unpack to {info.file_size:,} bytes; at most {most:,} are read"
        )
    bomb = info.file_size > _MOST_EXPANSION * max(info.compress_size, 1)
    if bomb and info.file_size > _EXPANSION_MATTERS:
        raise ConvertError(
            f"{name!r} would unpack from {info.compress_size:,} to {info.file_size:,} bytes: "
            "that is a zip bomb, not a checkpoint"
        )


def _refuse_constant(text: str) -> None:
    raise ConvertError(f"{HYPERPARAMS} holds {text}; every number must be finite")


def _parse_json(text: bytes) -> dict[str, Any]:
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except ConvertError:
        raise
    except (ValueError, RecursionError) as error:
        raise ConvertError(f"{HYPERPARAMS} is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ConvertError(f"{HYPERPARAMS} must hold a JSON object, not {type(data).__name__}")
    return data


def _read_arrays(data: bytes) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            for info in infos:
                _check_size(info.filename, info, _MOST_BYTES[PARAMS])
            total = sum(info.file_size for info in infos)
            if total > _MOST_BYTES[PARAMS]:
                raise ConvertError(
                    f"{PARAMS} would unpack to {total:,} bytes; "
                    f"at most {_MOST_BYTES[PARAMS]:,} are read"
                )
            return {
                info.filename.removesuffix(".npy"): _read_array(info.filename, archive.read(info))
                for info in infos
            }
    except ConvertError:
        raise
    except _DAMAGE as error:
        raise ConvertError(f"{PARAMS} is damaged: {error}") from None


def _read_array(name: str, data: bytes) -> np.ndarray:
    """Decode one .npy; numpy's own loader would allocate whatever the header says."""
    stream = io.BytesIO(data)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    reader = readers.get(np.lib.format.read_magic(stream))
    if reader is None:
        raise ConvertError(f"parameter {name!r} has an unknown .npy version")
    shape, fortran, dtype = reader(stream)
    if dtype.kind != "f":
        raise ConvertError(
            f"parameter {name!r} has type {dtype}; only float16, float32 and float64 are read, "
            "and objects are never unpickled"
        )
    rest = data[stream.tell() :]
    if len(rest) != math.prod(shape) * dtype.itemsize:
        raise ConvertError(
            f"parameter {name!r} is damaged: {len(rest)} bytes do not fill the shape {shape}"
        )
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if fortran else "C")
