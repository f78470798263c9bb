"""Storages and tensors of a torch file: members of its zip, and views of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lammps_mace.errors import ConvertError
from lammps_mace.modelfile.validation import shortened

# bfloat16 is no type of numpy: the upper half of a float32.
_BFLOAT16 = "BFloat16Storage"
_DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", _BFLOAT16: "<u2",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1",
    "ByteStorage": "<u1", "BoolStorage": "?",
}  # fmt: skip
STORAGES = {f"torch.{name}" for name in _DTYPES}
_MOST_DIMENSIONS = 16
_SPARE_BYTES = 2**20  # views may be so much larger than twice their storages


class Storages:
    """Storages of a file, each read once.

    Args:
        read: name of a storage -> its bytes; raises ConvertError where there is none.
    """

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self._arrays: dict[str, np.ndarray] = {}
        self._types: dict[str, str] = {}
        self._bytes = self._view_bytes = 0

    def load(self, type_name: str, key: str, size: int) -> np.ndarray:
        """Return a storage, flat.

        Raises:
            ConvertError: its size is not what the file says.
        """
        if key not in self._arrays:
            data, dtype = self._read(key), np.dtype(_DTYPES[type_name])
            if len(data) != size * dtype.itemsize:
                raise ConvertError(
                    f"is damaged: tensor data {shortened(key)!r} has {len(data):,} bytes, not "
                    f"{size:,} numbers of {type_name}"
                )
            flat = np.frombuffer(data, dtype)
            self._arrays[key] = _widened(flat) if type_name == _BFLOAT16 else flat
            self._types[key] = type_name
            self._bytes += self._arrays[key].nbytes
        if self._types[key] != type_name:
            raise ConvertError(f"is damaged: tensor data {shortened(key)!r} has two types")
        return self._arrays[key]

    def view(self, storage: Any, offset: Any, shape: Any, strides: Any) -> np.ndarray:
        """Return a tensor, which shares the memory of its storage and cannot be written to.

        Raises:
            ConvertError: it reaches beyond its storage, or repeats its numbers far too often.
        """
        numbers = (offset, *shape, *strides) if _are_tuples(shape, strides) else (None,)
        if (
            not isinstance(storage, np.ndarray)
            or not all(type(number) is int and 0 <= number < 2**48 for number in numbers)
            or len(shape) != len(strides)
            or len(shape) > _MOST_DIMENSIONS
        ):
            raise ConvertError("is damaged: a tensor has an impossible shape")
        if 0 in shape:
            return np.zeros(shape, storage.dtype)
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if last >= storage.size:
            raise ConvertError("is damaged: a tensor reaches beyond its data")
        self._view_bytes += math.prod(shape) * storage.itemsize
        if self._view_bytes > _SPARE_BYTES + 2 * self._bytes:
            raise ConvertError("has tensors that repeat the same numbers more often than any model")
        steps = tuple(step * storage.itemsize for step in strides)
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)


def _are_tuples(*values: Any) -> bool:
    return all(isinstance(value, tuple) for value in values)


def _widened(halves: np.ndarray) -> np.ndarray:
    wide = np.zeros(2 * halves.size, "<u2")
    wide[1::2] = halves
    return wide.view("<f4")
