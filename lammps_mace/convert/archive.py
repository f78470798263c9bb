"""Read mlip's zip archives without trusting them: sizes, types and contents are checked first."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lammps_mace.convert.npy import read_array
from lammps_mace.convert.zip_members import check_members, listed, opened, read_file
from lammps_mace.errors import ConvertError, UnusableFileError
from lammps_mace.modelfile.validation import MOST_JSON_BYTES, parse_json

HYPERPARAMS, PARAMS = "hyperparams.json", "params.npz"
_MOST_BYTES = {HYPERPARAMS: MOST_JSON_BYTES, PARAMS: 2**31}
_MOST_TOGETHER = sum(_MOST_BYTES.values())


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
    data, name = read_file(Path(path), _MOST_TOGETHER), repr(str(path))
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ConvertError(f"{name} is not a zip archive, or a truncated one")
    members = _members(data, name, (HYPERPARAMS, PARAMS))
    try:
        return Archive(parse_json(members[HYPERPARAMS], HYPERPARAMS), _arrays(members[PARAMS]))
    except UnusableFileError as error:
        raise ConvertError(str(error)) from None


def _members(data: bytes, what: str, wanted: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Return the members of an archive, all or the wanted ones; ``what`` is its name.

    Raises:
        ConvertError: it is damaged, unsafe, or lacks a wanted member.
    """
    with opened(data, what) as archive:
        names = archive.namelist()
        for name in wanted:
            if name not in names:
                raise ConvertError(
                    f"{what} has no member {name!r}: not a checkpoint of mlip; "
                    f"it holds {listed(names)}"
                )
        infos = [info for info in archive.infolist() if not wanted or info.filename in wanted]
        check_members(
            infos, what, len(data), lambda name: _MOST_BYTES.get(name, _MOST_BYTES[PARAMS]),
            _MOST_TOGETHER,
        )  # fmt: skip
        return {info.filename: archive.read(info) for info in infos}


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for member, content in _members(data, PARAMS).items():
        name = member.removesuffix(".npy")
        if name in arrays:
            raise ConvertError(f"{PARAMS} has the parameter {name[:100]!r} twice")
        arrays[name] = read_array(name, content)
    return arrays
