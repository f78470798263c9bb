"""One .npy file; numpy's own reader evaluates the header as Python and believes its sizes."""

from __future__ import annotations

import math
import re

import numpy as np

from lammps_mace.errors import ConvertError

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4}  # of the header's length, per version
_MOST_HEADER_BYTES = 1024
# What numpy has written since its first version 1.
_HEADER = re.compile(
    rb"\{'descr': '([^']{2,6})', 'fortran_order': (False|True), "
    rb"'shape': \(((?:[0-9]{1,15}, )*(?:[0-9]{1,15},?)?)\), \}\s*"
)
_FLOATS = {f"{order}f{size}" for order in "<>" for size in (2, 4, 8)}
_MOST_DIMENSIONS = 8


def read_array(name: str, data: bytes) -> np.ndarray:
    """Return the array that a .npy file holds, in native byte order.

    Raises:
        ConvertError: it is damaged, of an unknown version, or does not hold floats.
    """
    name = repr(name[:100])
    width = _LENGTH_BYTES.get(data[6:8], 0) if data.startswith(_MAGIC) else 0
    if not width:
        raise ConvertError(f"parameter {name} has an unknown .npy version")
    start = 8 + width
    end = start + int.from_bytes(data[8:start], "little")
    header = _HEADER.fullmatch(data[start:end]) if end - start <= _MOST_HEADER_BYTES else None
    if header is None:
        raise ConvertError(
            f"parameter {name} has a header that numpy does not write; only arrays of numbers are "
            "read, and objects are never unpickled"
        )
    kind = header[1].decode("latin-1")
    if kind not in _FLOATS:
        raise ConvertError(
            f"parameter {name} has type {kind}; only float16, float32 and float64 are read, "
            "and objects are never unpickled"
        )
    shape = tuple(int(size) for size in header[3].replace(b",", b" ").split())
    values, dtype = data[end:], np.dtype(kind)
    if len(values) != math.prod(shape) * dtype.itemsize:
        raise ConvertError(
            f"parameter {name} is damaged: {len(values)} bytes do not fill the shape {shape}"
        )
    if len(shape) > _MOST_DIMENSIONS:
        raise ConvertError(f"parameter {name} has {len(shape)} axes; no weight has that many")
    flat = np.frombuffer(values, dtype)
    array = flat.reshape(shape[::-1]).T if header[2] == b"True" else flat.reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)
