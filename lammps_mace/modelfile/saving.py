"""Write a model: all three files or none."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.numpy

from lammps_mace.errors import ModelFileError, UnusableFileError
from lammps_mace.modelfile.sidecar import MOST_MEMBERS, committee_of, dump_sidecar, sidecar_of
from lammps_mace.modelfile.weights import checked_weights
from lammps_mace.models import families
from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.model import Dtype, Model, Parameters, flatten
from lammps_mace.models.torch.config import TorchMaceConfig
from lammps_mace.stub import UnifiedModel


def save_model(
    path: str | os.PathLike[str],
    config: MaceConfig | TorchMaceConfig,
    dataset_info: DatasetInfo | None,
    params: Parameters,
    *,
    dtype: Dtype = "float32",
    head: int = 0,
    total_charge: int | None = None,
    total_spin: int | None = None,
    write_charges: bool = False,
    exact_radial: bool = False,
    origin: str = "",
    record_folder: bool = True,
) -> Path:
    """Write X.model, X.json and X.safetensors; nothing is left behind when it fails.

    Args:
        path: X.model.
        config, dataset_info: the network; models of mace-torch have no ``dataset_info``.
        params: parameters of :class:`lammps_mace.Mace`, with or without the outer "params"; or
            those of a model of mace-torch.
        total_charge: needed for models with charges, and for those that read it.
        total_spin: needed for models that read it.
        write_charges: let LAMMPS's atoms have the predicted charges; their style must have them.
        record_folder: let X.model remember this folder, the last place to look for its sidecars.

    Returns:
        The path of X.model.

    Raises:
        ValueError: the weights or another argument do not fit the network, or the files cannot
            be written.
    """
    model: Model = Model(
        config, dataset_info, params, dtype=dtype, head=head, total_charge=total_charge,
        write_charges=write_charges, exact_radial=exact_radial, origin=origin,
        total_spin=total_spin,
    )  # fmt: skip
    return write_model(path, model, record_folder)


def write_model(path: str | os.PathLike[str], model: Model, record_folder: bool = True) -> Path:
    """Write the three files of a model; see :func:`save_model`."""
    path = Path(path)
    _check_suffix(path)
    weights, text = _parts(model)
    _write_all(
        {
            path.with_suffix(".safetensors"): weights,
            path.with_suffix(".json"): text,
            path: _stub(path, text, record_folder),
        }
    )
    return path


def write_committee(
    path: str | os.PathLike[str], models: Sequence[Model], record_folder: bool = True
) -> Path:
    """Write the files of a committee: X.model, X.json, and X.0.json, X.0.safetensors, ... .

    Raises:
        ValueError: these are too few or too many models, they know other elements, or the files
            cannot be written.
    """
    path = Path(path)
    _check_suffix(path)
    check_members(models)
    contents: dict[Path, bytes] = {}
    digests = []
    for number, model in enumerate(models):
        weights, text = _parts(model)
        contents[path.with_suffix(f".{number}.safetensors")] = weights
        contents[path.with_suffix(f".{number}.json")] = text
        digests.append(hashlib.sha256(text).hexdigest())
    text = dump_sidecar(committee_of(digests))
    contents[path.with_suffix(".json")] = text
    contents[path] = _stub(path, text, record_folder)
    _write_all(contents)
    return path


def check_members(models: Sequence[Model]) -> None:
    """Raise ValueError if these models make no committee: too few or many, or other elements."""
    if not 2 <= len(models) <= MOST_MEMBERS:
        raise ValueError(f"a committee has 2 to {MOST_MEMBERS} models, got {len(models)}")
    families.check_same_elements(models)


def _check_suffix(path: Path) -> None:
    if path.suffix != ".model":
        raise ValueError(f"path={str(path)!r} must end in '.model'")


def _parts(model: Model) -> tuple[bytes, bytes]:
    """Return the contents of X.safetensors and X.json."""
    if (model.dataset_info is None) != isinstance(model.config, TorchMaceConfig):
        raise ValueError("dataset_info: models of mlip need it, those of mace-torch have none")
    families.check_settings(model)
    weights = _encoded(model)
    sidecar = sidecar_of(replace(model, weights_sha256=hashlib.sha256(weights).hexdigest()))
    return weights, dump_sidecar(sidecar)


def _stub(path: Path, text: bytes, record_folder: bool) -> bytes:
    folder = str(path.parent.resolve()) if record_folder else ""
    stub = UnifiedModel(path.stem, hashlib.sha256(text).hexdigest(), folder)
    return pickle.dumps(stub, protocol=4)


def _encoded(model: Model) -> bytes:
    flat = flatten(model.params.get("params", model.params))
    try:
        weights = checked_weights(flat, families.parameter_shapes(model), model.dtype)
    except UnusableFileError as error:
        raise ValueError(f"params: {error}") from None
    return safetensors.numpy.save({k: np.asarray(v, order="C") for k, v in weights.items()})


def _write_all(contents: Mapping[Path, bytes]) -> None:
    # First everything under temporary names, so that a full disk cannot leave half a model.
    temporary = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in contents}
    try:
        for path, data in contents.items():
            temporary[path].write_bytes(data)
        for path, part in temporary.items():
            part.replace(path)
    except OSError as error:
        reason = f"{error.strerror or error}; name a folder that exists and has room for it"
        raise ModelFileError(f"cannot write {str(path)!r}: {reason}") from error
    finally:
        for part in temporary.values():
            with suppress(OSError):
                part.unlink()
