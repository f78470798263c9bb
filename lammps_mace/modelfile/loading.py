"""Read a model: find its files, and believe none of them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lammps_mace.errors import ModelFileError, UnusableFileError
from lammps_mace.modelfile.sidecar import CommitteeSidecar, Sidecar, model_of, parse_sidecar
from lammps_mace.modelfile.stub_reader import MOST_STUB_BYTES, check_stub, read_stub
from lammps_mace.modelfile.validation import MOST_JSON_BYTES, read_bytes
from lammps_mace.modelfile.weights import read_weights
from lammps_mace.models import families
from lammps_mace.models.model import Model, unflatten
from lammps_mace.stub import UnifiedModel


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model file and check that its three parts belong together.

    Raises:
        ModelFileError: a part is missing, altered, of a newer format, or not ours; the weights
            are not those of the network; or the file holds several models.
    """
    return only_model(load_models(path), str(path))


def load_models(path: str | os.PathLike[str]) -> list[Model]:
    """Read the models of a model file: one, or those of a committee.

    Raises:
        ModelFileError: see :func:`load_model`.
    """
    return [_read_model(one) for one in _members_of(Path(path))]


def load_member(path: str | os.PathLike[str], number: int) -> tuple[Model, int]:
    """Read one model of a model file; return it, and how many the file has.

    Raises:
        ModelFileError: see :func:`load_model`.
    """
    members = _members_of(Path(path))
    return _read_model(members[number]), len(members)


def only_model(models: list[Model], name: str) -> Model:
    """Return the model of a file that must hold one.

    Raises:
        ModelFileError: there are several.
    """
    if len(models) > 1:
        raise ModelFileError(
            f"model file {name!r} holds a committee of {len(models)} models: pair_style mliap "
            "unified of the plugin and lammps_mace.Calculator take it; give one model here"
        )
    return models[0]


def read_parts(stub: UnifiedModel, folder: Path | None, stem: str | None) -> list[Model]:
    """Find and read the sidecars of a stub.

    Args:
        folder, stem: of X.model when LAMMPS told us, else None.

    Raises:
        ModelFileError: see :func:`load_model`.
    """
    return [_read_model(one) for one in _find_members(stub, folder, stem)]


class _Member(NamedTuple):
    """A model of a file, without its weights: its sidecar, where that is, and its SHA-256."""

    path: Path
    sidecar: Sidecar
    sha256: str


def _members_of(path: Path) -> list[_Member]:
    if not os.path.isfile(path):
        raise ModelFileError(f"model file {str(path)!r} does not exist")
    stub = read_stub(read_bytes(path, MOST_STUB_BYTES), str(path))
    return _find_members(stub, path.parent, path.stem)


def _find_members(stub: UnifiedModel, folder: Path | None, stem: str | None) -> list[_Member]:
    check_stub(stub, "X.model" if stem is None else f"{stem}.model")
    path = _find(stub, folder, stem)
    sidecar = _read_sidecar(path, stub.sidecar_sha256, "the model file")
    if not isinstance(sidecar, CommitteeSidecar):
        return [_Member(path, sidecar, stub.sidecar_sha256)]
    members = []
    for number, digest in enumerate(sidecar.members):
        member_path = path.with_name(f"{path.stem}.{number}.json")
        if not os.path.isfile(member_path):
            raise ModelFileError(
                f"{str(member_path)!r}, a model of the committee {path.name}, is missing; copy all "
                "files of the committee"
            )
        member = _read_sidecar(member_path, digest, path.name)
        if isinstance(member, CommitteeSidecar):
            raise ModelFileError(f"{str(member_path)!r} is a committee inside a committee")
        members.append(_Member(member_path, member, digest))
    return members


def _read_sidecar(path: Path, sha256: str, holder: str) -> Sidecar | CommitteeSidecar:
    text = read_bytes(path, MOST_JSON_BYTES)
    if hashlib.sha256(text).hexdigest() != sha256:
        raise ModelFileError(
            f"{str(path)!r} was altered: its SHA-256 is not the one in {holder}; "
            "copy the files of the model again, or convert it again"
        )
    try:
        return parse_sidecar(text, repr(str(path)))
    except UnusableFileError as error:
        raise ModelFileError(str(error)) from None


def _read_model(member: _Member) -> Model:
    path = member.path
    try:
        model = model_of(member.sidecar, member.sha256)
        shapes = _checked_shapes(model, repr(str(path)))
    except UnusableFileError as error:
        raise ModelFileError(str(error)) from None
    weights = read_weights(
        path.with_suffix(".safetensors"), model.weights_sha256, shapes, model.dtype
    )
    return replace(model, params=unflatten(weights))


def _checked_shapes(model: Model, name: str) -> dict[str, tuple[int, ...]]:
    try:
        families.check_settings(model)
        return families.parameter_shapes(model)
    except ValueError as error:
        raise UnusableFileError(f"{name}: {error}") from None


def _find(stub: UnifiedModel, folder: Path | None, stem: str | None) -> Path:
    places = [folder] if folder is not None else []
    places += [Path(p) for p in os.environ.get("LAMMPS_MACE_PATH", "").split(os.pathsep) if p]
    places += [Path.cwd()]
    places += [Path(stub.folder)] if stub.folder else []
    names = dict.fromkeys((stem or stub.name, stub.name))
    tried = [place / f"{name}.json" for place in places for name in names]
    for candidate in tried:
        # Not Path.is_file: that raises where a folder may not be entered or a name is too long.
        if os.path.isfile(candidate):
            return candidate
    raise ModelFileError(
        f"the sidecar {stem or stub.name}.json of the model was not found; tried "
        + ", ".join(repr(str(t)) for t in dict.fromkeys(tried))
        + "; put it beside the model file or name its folder in LAMMPS_MACE_PATH"
    )
