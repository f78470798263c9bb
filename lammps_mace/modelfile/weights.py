"""Weights against the network that they are for; X.safetensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors

from lammps_mace.errors import ModelFileError, UnusableFileError
from lammps_mace.modelfile.validation import read_bytes, shortened
from lammps_mace.models.mlip.shapes import Shape, parameter_count

_TYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
_SHOWN = 3  # names in one message
_HEADER_BYTES = 1000  # per parameter: its name, shape and place


def checked_weights(
    params: Mapping[str, np.ndarray], shapes: Mapping[str, Shape], dtype: str
) -> dict[str, np.ndarray]:
    """Return the weights in the order of the network.

    Args:
        params: name, levels joined by '#' -> array.
        shapes: of every parameter of the network.
        dtype: in which they must be finite.

    Raises:
        UnusableFileError: one is missing, not used, of another shape or type, or not finite.
    """
    # Irreps that nothing reaches have weights without elements: those may be missing.
    missing = [name for name, shape in shapes.items() if name not in params and 0 not in shape]
    unused = [name for name in params if name not in shapes]
    if missing or unused:
        parts = [f"missing: {_some(missing)}"] if missing else []
        parts += [f"not used by this network: {_some(unused)}"] if unused else []
        raise UnusableFileError("the parameters do not fit the configuration; " + "; ".join(parts))
    return {name: _checked(name, params.get(name), shape, dtype) for name, shape in shapes.items()}


def _checked(name: str, array: np.ndarray | None, shape: Shape, dtype: str) -> np.ndarray:
    if 0 in shape and (array is None or array.size == 0):
        return np.zeros(shape, np.float32)
    assert array is not None  # checked_weights has looked
    if array.dtype not in _TYPES.values():
        raise UnusableFileError(
            f"parameter {name!r} has type {array.dtype}; weights are float16, float32 or float64"
        )
    if array.shape != shape:
        raise UnusableFileError(
            f"parameter {name!r} has shape {array.shape}; the configuration asks for {shape}"
        )
    with np.errstate(over="ignore"):
        finite = np.isfinite(array.astype(dtype)).all()
    if not finite:
        raise UnusableFileError(f"parameter {name!r} has values that are not finite in {dtype}")
    return array


def _some(names: list[str]) -> str:
    text = ", ".join(repr(name[:100]) for name in names[:_SHOWN])
    return text + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def read_weights(
    path: Path, sha256: str, shapes: Mapping[str, Shape], dtype: str
) -> dict[str, np.ndarray]:
    """Return the weights in X.safetensors; arguments as in :func:`checked_weights`.

    Raises:
        ModelFileError: the file is missing, altered, or not for this network.
    """
    if not path.is_file():
        raise ModelFileError(f"the weights {str(path)!r} are missing; put them beside the sidecar")
    data = read_bytes(path, 8 * parameter_count(shapes) + _HEADER_BYTES * (len(shapes) + 10))
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelFileError(
            f"{str(path)!r} was altered: its SHA-256 is not the one in {path.stem}.json; "
            "copy the three files of the model again, or convert it again"
        )
    try:
        return checked_weights(_decoded(data), shapes, dtype)
    except UnusableFileError as error:
        raise ModelFileError(f"{str(path)!r}: {error}") from None


def _decoded(data: bytes) -> dict[str, np.ndarray]:
    try:
        tensors = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        reason = shortened(str(error))
        raise UnusableFileError(
            f"it is not a file of safetensors ({reason}); copy the three files of the model again"
        ) from None
    for name, tensor in tensors:
        if tensor["dtype"] not in _TYPES:
            raise UnusableFileError(
                f"parameter {name!r} has type {tensor['dtype']}; "
                "weights are float16, float32 or float64"
            )
    return {
        name: np.frombuffer(tensor["data"], _TYPES[tensor["dtype"]]).reshape(tensor["shape"])
        for name, tensor in tensors
    }
