"""Which model file LAMMPS means: its input scripts lose letters, its restart files are moved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lammps_mace.modelfile import ModelFileError, read_stub
from lammps_mace.modelfile.stub_reader import MOST_STUB_BYTES
from lammps_mace.modelfile.validation import read_bytes


def find_model(path: str) -> str:
    """Return the path that the user wrote, where LAMMPS handed over what it leaves of it.

    LAMMPS removes the first byte of each letter outside ASCII from the lines of an input script
    (``utf8_subst`` in its utils.cpp). The file is then the only one whose path would be left so.

    Raises:
        ModelFileError: no file fits, or several do.
    """
    given = os.fsencode(path)
    if os.path.lexists(path) or _is_utf8(given):
        return path
    found = list(_fitting(b"/" if given.startswith(b"/") else b"", given.split(b"/")))
    if len(found) == 1:
        return os.fsdecode(found[0])
    shown = given.decode("ascii", "replace").replace("\ufffd", "?")
    raise ModelFileError(
        f"LAMMPS lost letters outside ASCII of the path {shown!r}, and "
        f"{len(found) or 'no'} files fit what is left: start LAMMPS with `-var model PATH` and "
        "write `pair_style mliap unified ${model} 0`, or give folder and file names in ASCII"
    )


def sidecar_digest(path: str) -> str:
    """Return what stands for the whole content: the SHA-256 of the sidecar, which has the weights'.

    Raises:
        ModelFileError: not a model file.
    """
    return read_stub(read_bytes(Path(path), MOST_STUB_BYTES), path).sidecar_sha256


def find_restarted(named: str, was: str, sha256: str) -> str:
    """Return the path of the model that a restart file was written with.

    Args:
        named, was: as pair_style named it, from the folder of LAMMPS; where it was then, absolute.
        sha256: of its sidecar.

    Raises:
        ModelFileError: it is in neither place.
    """
    there = [path for path in dict.fromkeys((named, was)) if os.path.isfile(path)]
    digests = {path: sidecar_digest(path) for path in there}
    for path, digest in digests.items():
        if digest == sha256:
            return path
    remedy = (
        "put it back, or write `pair_style mliap unified FILE.model 0` and its pair_coeff after "
        "read_restart to go on with another"
    )
    if not there:
        raise ModelFileError(
            f"the restart file was written with the model {was!r}, which does not exist: {remedy}"
        )
    raise ModelFileError(
        f"the restart file was written with the model {was!r} whose sidecar has the SHA-256 "
        f"{sha256}, but {there[0]!r} has {digests[there[0]]}: {remedy}"
    )


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _fitting(folder: bytes, parts: list[bytes]) -> Iterator[bytes]:
    """Yield the paths below a folder that LAMMPS would leave as ``parts``."""
    if not parts:
        yield folder
        return
    first, rest = parts[0], parts[1:]
    names = [first] if _is_utf8(first) else [n for n in _names(folder) if _left_of(n) == first]
    for name in names:
        path = os.path.join(folder, name)
        if os.path.lexists(path or b"."):
            yield from _fitting(path, rest)


def _names(folder: bytes) -> list[bytes]:
    try:
        return os.listdir(folder or b".")
    except OSError:
        return []


def _left_of(name: bytes) -> bytes:
    return bytes(byte for byte in name if not 0xC0 <= byte < 0xF8)
