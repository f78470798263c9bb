"""Write a model: all three files or none."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import safetensors.numpy

from lammps_mace import __version__
from lammps_mace.errors import ModelFileError, UnusableFileError
from lammps_mace.modelfile.settings import check_settings
from lammps_mace.modelfile.sidecar import FORMAT_VERSION, Sidecar, dump_sidecar
from lammps_mace.modelfile.weights import checked_weights
from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.mlip.shapes import parameter_shapes
from lammps_mace.models.model import Dtype, Parameters, flatten
from lammps_mace.stub import UnifiedModel


def save_model(
    path: str | os.PathLike[str],
    config: MaceConfig,
    dataset_info: DatasetInfo,
    params: Parameters,
    *,
    dtype: Dtype = "float32",
    head: int = 0,
    total_charge: int | None = None,
    write_charges: bool = False,
    exact_radial: bool = False,
    origin: str = "",
    record_folder: bool = True,
) -> Path:
    """Write X.model, X.json and X.safetensors; nothing is left behind when it fails.

    Args:
        path: X.model.
        params: parameters of :class:`lammps_mace.Mace`, with or without the outer "params".
        total_charge: needed for models with charges.
        write_charges: let LAMMPS's atoms have the predicted charges; their style must have them.
        record_folder: let X.model remember this folder, the last place to look for its sidecars.

    Returns:
        The path of X.model.

    Raises:
        ValueError: the weights or another argument do not fit the network, or the files cannot
            be written.
    """
    path = Path(path)
    if path.suffix != ".model":
        raise ValueError(f"path={str(path)!r} must end in '.model'")
    check_settings(
        config, dataset_info, head=head, total_charge=total_charge, write_charges=write_charges
    )
    weights = _encoded(config, dataset_info, params, dtype)
    sidecar = Sidecar(
        format_version=FORMAT_VERSION, package_version=__version__, config=config,
        dataset_info=dataset_info, elements=dataset_info.elements, dtype=dtype, head=head,
        total_charge=total_charge, write_charges=write_charges, exact_radial=exact_radial,
        weights_sha256=hashlib.sha256(weights).hexdigest(), origin=origin,
    )  # fmt: skip
    _write_parts(path, weights, dump_sidecar(sidecar), record_folder)
    return path


def _write_parts(path: Path, weights: bytes, text: bytes, record_folder: bool) -> None:
    folder = str(path.parent.resolve()) if record_folder else ""
    stub = UnifiedModel(path.stem, hashlib.sha256(text).hexdigest(), folder)
    _write_all(
        {
            path.with_suffix(".safetensors"): weights,
            path.with_suffix(".json"): text,
            path: pickle.dumps(stub, protocol=4),
        }
    )


def _encoded(config: MaceConfig, info: DatasetInfo, params: Parameters, dtype: Dtype) -> bytes:
    flat = flatten(params.get("params", params))
    try:
        weights = checked_weights(flat, parameter_shapes(config, info), dtype)
    except UnusableFileError as error:
        raise ValueError(f"params: {error}") from None
    return safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in weights.items()})


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
