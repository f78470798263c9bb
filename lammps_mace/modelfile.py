"""The model file: X.model (a stub for LAMMPS), X.json (everything but weights), X.safetensors."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.numpy
from pydantic import ValidationError

from lammps_mace import __version__
from lammps_mace.models.mlip.config import MaceConfig, StrictModel
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.stub import UnifiedModel

FORMAT_VERSION = 1
DELIMITER = "#"  # joins the levels of a parameter's name, as in mlip's checkpoints
Parameters = Mapping[str, Any]  # nested: module -> ... -> array
Dtype = Literal["float32", "float64"]


class ModelFileError(ValueError):
    """A model file that cannot be used; the message says which file, why, and what to do."""


class Sidecar(StrictModel):
    """Contents of X.json.

    Attributes:
        format_version: of these three files.
        package_version: lammps-mace that wrote them.
        config, dataset_info: the network.
        elements: chemical symbols in species order.
        dtype: precision of the evaluation.
        head: readout head of the simulation.
        total_charge: total charge of the simulated system, e; None for models without charges.
        write_charges: let LAMMPS's atoms have the predicted charges.
        exact_radial: evaluate the radial network itself, never splines fitted to it.
        weights_sha256: of X.safetensors.
        origin: what the weights came from.
    """

    format_version: int
    package_version: str
    config: MaceConfig
    dataset_info: DatasetInfo
    elements: tuple[str, ...]
    dtype: Dtype
    head: int
    total_charge: int | None
    write_charges: bool = False
    exact_radial: bool = False
    weights_sha256: str
    origin: str


@dataclass(frozen=True)
class Model:
    """A network with its weights, ready to be evaluated.

    Attributes:
        config, dataset_info: the network.
        params: nested parameters, module -> ... -> numpy array, named as in mlip.
        dtype: precision of the evaluation, "float32" or "float64".
        head: readout head and its set of E0, 0 <= head < :func:`head_count`.
        total_charge: total charge of the simulated system, e; None without charges.
        write_charges: let LAMMPS's atoms have the predicted charges.
        exact_radial: evaluate the radial network itself, never splines fitted to it.
        origin: what the weights came from.
    """

    config: MaceConfig
    dataset_info: DatasetInfo
    params: Parameters
    dtype: Dtype = "float32"
    head: int = 0
    total_charge: int | None = None
    write_charges: bool = False
    exact_radial: bool = False
    origin: str = ""

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return sum(array.size for array in flatten(self.params).values())


def flatten(params: Parameters, prefix: str = "") -> dict[str, np.ndarray]:
    """Return one dictionary, nested names joined by '#'."""
    flat: dict[str, np.ndarray] = {}
    for name, value in params.items():
        key = f"{prefix}{DELIMITER}{name}" if prefix else name
        flat.update(flatten(value, key) if isinstance(value, Mapping) else {key: np.asarray(value)})
    return flat


def unflatten(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Inverse of :func:`flatten`."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, name = key.split(DELIMITER)
        level = nested
        for module in path:
            level = level.setdefault(module, {})
        level[name] = value
    return nested


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
        record_folder: let X.model remember this folder, where a LAMMPS that does not know the
            path of the model looks last.

    Returns:
        The path of X.model.

    Raises:
        ValueError: a weight is not finite, an argument does not fit the network, or the files
            cannot be written.
    """
    path = Path(path)
    if path.suffix != ".model":
        raise ValueError(f"path={str(path)!r} must end in '.model'")
    flat = flatten(params.get("params", params))
    _check_arguments(config, dataset_info, flat, head)
    _check_charges(config, dataset_info, total_charge, write_charges)
    weights = safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in flat.items()})
    sidecar = Sidecar(
        format_version=FORMAT_VERSION,
        package_version=__version__,
        config=config,
        dataset_info=dataset_info,
        elements=dataset_info.elements,
        dtype=dtype,
        head=head,
        total_charge=total_charge,
        write_charges=write_charges,
        exact_radial=exact_radial,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        origin=origin,
    )
    text = (json.dumps(sidecar.model_dump(mode="json"), indent=1) + "\n").encode()
    folder = str(path.parent.resolve()) if record_folder else ""
    stub = UnifiedModel(path.stem, hashlib.sha256(text).hexdigest(), folder)
    _write_all(
        {
            path.with_suffix(".safetensors"): weights,
            path.with_suffix(".json"): text,
            path: pickle.dumps(stub, protocol=4),
        }
    )
    return path


def head_count(config: MaceConfig, dataset_info: DatasetInfo) -> int:
    """Return how many heads can be selected: readouts or, with one readout, sets of E0."""
    maps = dataset_info.atomic_energies_map
    if not isinstance(maps, tuple):
        return config.num_readout_heads
    return len(maps) if config.num_readout_heads == 1 else min(config.num_readout_heads, len(maps))


def _check_arguments(
    config: MaceConfig, dataset_info: DatasetInfo, flat: Mapping[str, np.ndarray], head: int
) -> None:
    count = head_count(config, dataset_info)
    if not 0 <= head < count:
        raise ValueError(f"head={head} must be 0 to {count - 1}")
    for name, array in flat.items():
        if not np.isfinite(array).all():
            raise ValueError(f"params: {name!r} has values that are not finite")


def _check_charges(
    config: MaceConfig, info: DatasetInfo, total_charge: int | None, write_charges: bool
) -> None:
    if write_charges and not config.predict_partial_charges:
        raise ValueError("write_charges: the network predicts none (predict_partial_charges)")
    known = info.total_charges
    if total_charge is not None and known and total_charge not in known:
        raise ValueError(
            f"total_charge={total_charge}: the model was trained for total charges {list(known)}"
        )


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


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model file and check that its three parts belong together.

    Raises:
        ModelFileError: a part is missing, altered, of a newer format, or not ours.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"model file {str(path)!r} does not exist")
    return read_parts(read_stub(path.read_bytes(), str(path)), path.parent, path.stem)


def read_stub(data: bytes, name: str) -> UnifiedModel:
    """Unpickle X.model without running anything that is not our stub.

    Raises:
        ModelFileError: the pickle holds anything else; it was not executed.
    """
    try:
        stub = _StubUnpickler(io.BytesIO(data)).load()
    except ModelFileError as error:
        raise ModelFileError(f"{name!r} {error}") from None
    except Exception:
        raise ModelFileError(
            f"{name!r} is not a model file of lammps-mace (not a pickle)"
        ) from None
    if not isinstance(stub, UnifiedModel):
        raise ModelFileError(f"{name!r} is not a model file of lammps-mace: it holds {type(stub)}")
    return stub


class _StubUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) == (UnifiedModel.__module__, UnifiedModel.__qualname__):
            return UnifiedModel
        raise ModelFileError(
            f"is not a model file of lammps-mace: the pickle asks for {module}.{name}, which was "
            "not executed; write model files with lammps_mace.save_model or 'lammps-mace convert'"
        )


def read_parts(stub: UnifiedModel, folder: Path | None, stem: str | None) -> Model:
    """Find and read the sidecars of a stub.

    Args:
        folder, stem: of X.model when LAMMPS told us, else None.

    Raises:
        ModelFileError: see :func:`load_model`.
    """
    json_path = _find(stub, folder, stem)
    text = json_path.read_bytes()
    sidecar = _parse(text, json_path)
    if hashlib.sha256(text).hexdigest() != stub.sidecar_sha256:
        raise ModelFileError(
            f"{str(json_path)!r} was altered: its SHA-256 is not the one in the model file; "
            "copy the three files of the model again, or convert it again"
        )
    return Model(
        config=sidecar.config,
        dataset_info=sidecar.dataset_info,
        params=_read_weights(json_path.with_suffix(".safetensors"), sidecar.weights_sha256),
        dtype=sidecar.dtype,
        head=sidecar.head,
        total_charge=sidecar.total_charge,
        write_charges=sidecar.write_charges,
        exact_radial=sidecar.exact_radial,
        origin=sidecar.origin,
    )


def _find(stub: UnifiedModel, folder: Path | None, stem: str | None) -> Path:
    places = [folder] if folder is not None else []
    places += [Path(p) for p in os.environ.get("LAMMPS_MACE_PATH", "").split(os.pathsep) if p]
    places += [Path.cwd()]
    places += [Path(stub.folder)] if stub.folder else []
    names = dict.fromkeys((stem or stub.name, stub.name))
    tried = [place / f"{name}.json" for place in places for name in names]
    for candidate in tried:
        if candidate.is_file():
            return candidate
    raise ModelFileError(
        f"the sidecar {stem or stub.name}.json of the model was not found; tried "
        + ", ".join(repr(str(t)) for t in dict.fromkeys(tried))
        + "; put it beside the model file or name its folder in LAMMPS_MACE_PATH"
    )


def _parse(text: bytes, path: Path) -> Sidecar:
    try:
        data = json.loads(text)
        version = data["format_version"]
    except (ValueError, TypeError, KeyError):
        raise ModelFileError(f"{str(path)!r} is not the sidecar of a model file") from None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ModelFileError(
            f"{str(path)!r} has format version {version!r}; lammps-mace {__version__} reads up to "
            f"{FORMAT_VERSION}: install a newer lammps-mace"
        )
    try:
        return Sidecar(**data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "contents"
        raise ModelFileError(f"{str(path)!r}: {where}: {first['msg']}") from None


def _read_weights(path: Path, sha256: str) -> dict[str, Any]:
    if not path.is_file():
        raise ModelFileError(f"the weights {str(path)!r} are missing; put them beside the sidecar")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelFileError(
            f"{str(path)!r} was altered: its SHA-256 is not the one in {path.stem}.json; "
            "copy the three files of the model again, or convert it again"
        )
    return unflatten(safetensors.numpy.load(data))
