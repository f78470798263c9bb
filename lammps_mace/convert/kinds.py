"""What kind of file a checkpoint is, by its contents: its name says nothing."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Literal

from lammps_mace.convert.zip_members import opened, read_file
from lammps_mace.errors import ConvertError

MOST_BYTES = 2**32
_TORCH = "/data.pkl"  # end of the name of the pickle that torch.save writes
_OLD_TORCH = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the number with which it began before 1.6
_ZIP = b"PK"
_AGAIN = "download or copy it again"
_STARTS = (
    (b"version https://git-lfs", "is a pointer of Git LFS, not the file itself: 'git lfs pull'"),
    (b"\x80", "is a pickle, but of no model: a model file of lammps-mace is not converted again"),
)  # fmt: skip
_HEAD_BYTES = 512


def kind_of(path: str | os.PathLike[str]) -> Literal["mlip", "torch"]:
    """Return which library wrote a checkpoint.

    Raises:
        ConvertError: neither did; the message says what the file is, where that can be seen.
    """
    data, name = read_file(Path(path), MOST_BYTES), repr(str(path))
    if not data:
        raise ConvertError(f"{name} is empty: {_AGAIN}")
    # Models hold small archives of code, which end as one does: those are not the file.
    if not data.startswith(_ZIP) or not zipfile.is_zipfile(io.BytesIO(data)):
        raise ConvertError(f"{name} {_what(data[:_HEAD_BYTES])}")
    with opened(data, name) as archive:
        if min((info.header_offset for info in archive.infolist()), default=0):
            raise ConvertError(f"{name} is truncated: {_AGAIN}")
        return "torch" if any(one.endswith(_TORCH) for one in archive.namelist()) else "mlip"


def _what(head: bytes) -> str:
    """Return what a file is that is no zip, by its first bytes."""
    if _OLD_TORCH in head[:32]:
        return (
            "has the format of torch before 1.6; save it again in torch: "
            "torch.save(torch.load('old.model', weights_only=False), 'new.model')"
        )
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return f"is a web page, not a model: {_AGAIN}, with the address of the file itself"
    words = (words for start, words in _STARTS if head.startswith(start))
    return next(words, f"is not a zip archive, or a truncated one: {_AGAIN}")
