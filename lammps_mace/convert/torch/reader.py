"""A model that torch.save wrote, read without torch: a zip of raw tensors and one pickle."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lammps_mace.convert.torch.budget import Budget, check_tree
from lammps_mace.convert.torch.records import Record
from lammps_mace.convert.torch.refusals import check_names, model_of, models_of
from lammps_mace.convert.torch.tensors import Storages
from lammps_mace.convert.torch.unpickler import names_in, unpickle
from lammps_mace.convert.zip_members import check_members, opened, read_file
from lammps_mace.errors import ConvertError

PICKLE = "data.pkl"
_Picked = TypeVar("_Picked")
_MOST_BYTES, _MOST_PICKLE_BYTES = 2**32, 2**26


def read_records(path: str | os.PathLike[str]) -> Record:
    """Return the model that a file of torch holds; nothing of it is executed.

    Raises:
        ConvertError: it is damaged, or holds anything but a model of mace-torch that has energies
            and needs no other package.
    """
    return _records(path, model_of)


def read_list(path: str | os.PathLike[str]) -> list[Record]:
    """Return the models of a list that a file of torch holds; see :func:`read_records`."""
    return _records(path, models_of)


def _records(path: str | os.PathLike[str], pick: Callable[[Any], _Picked]) -> _Picked:
    """Return what ``pick`` takes of the contents of a file."""
    data, name = read_file(Path(path), _MOST_BYTES), repr(str(path))
    with opened(data, name) as archive:
        root = _root(archive, name)
        check_members(
            archive.infolist(), name, len(data),
            lambda member: _MOST_PICKLE_BYTES if member == root + PICKLE else len(data), len(data),
        )  # fmt: skip
        try:
            found = _read(lambda member: archive.read(root + member), Budget(len(data)))
            return pick(found)
        except ConvertError as error:
            raise ConvertError(f"{name} {error}") from None


def _root(archive: zipfile.ZipFile, name: str) -> str:
    """Return the folder within the archive that holds everything."""
    roots = [one.removesuffix(PICKLE) for one in archive.namelist() if one.endswith(f"/{PICKLE}")]
    if len(roots) != 1:
        raise ConvertError(
            f"{name} holds {len(roots)} members '*/{PICKLE}', not one: no file of torch"
        )
    if f"{roots[0]}constants.pkl" in archive.namelist():
        raise ConvertError(
            f"{name} is compiled code (TorchScript), as in '*_compiled.model' and '*-lammps.pt': "
            "convert the model that it was compiled from, '*.model' without '_compiled'"
        )
    if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
        raise ConvertError(
            f"{name} is compressed, which torch never does; load the model in torch, save it again"
        )
    return roots[0]


def _read(read: Callable[[str], bytes], budget: Budget) -> Any:
    try:
        order = read("byteorder")
    except KeyError:  # of torch before 2.1
        order = b"little"
    if order != b"little":
        raise ConvertError(
            "was written on a machine of the other byte order; save it again on this one"
        )
    pickle = read(PICKLE)
    check_names(names_in(pickle))
    found = unpickle(pickle, Storages(lambda key: read(f"data/{key}")), budget)
    check_tree(found)
    return found
