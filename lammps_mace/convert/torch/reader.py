"""A model that torch.save wrote, read without torch: a zip of raw tensors and one pickle."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from lammps_mace.convert.torch.records import Record
from lammps_mace.convert.torch.tensors import Storages
from lammps_mace.convert.torch.unpickler import unpickle
from lammps_mace.errors import ConvertError


def read_records(path: str | os.PathLike[str]) -> Record:
    """Return the model that a file of torch holds.

    Raises:
        ConvertError: it is damaged, or holds anything but a model.
    """
    with zipfile.ZipFile(Path(path)) as archive:
        names = archive.namelist()
        [pickle] = [name for name in names if name.endswith("/data.pkl")]
        root = pickle.removesuffix("data.pkl")
        storages = Storages(lambda key: archive.read(f"{root}data/{key}"))
        found = unpickle(archive.read(pickle), storages)
    if not isinstance(found, Record):
        raise ConvertError(f"{str(path)!r} holds a {type(found).__name__}, not a model")
    return found
