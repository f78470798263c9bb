"""Tables of splines in the cache folder: written whole, read only as they were written."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from lammps_mace.runtime.cache import distrust

_DIGEST_BYTES = hashlib.sha256().digest_size
_HEADER_BYTES = 4096  # more than safetensors takes to describe two arrays


class SpoiledTableError(ValueError):
    """A table that must not be used; the message says why."""


def write_table(path: Path, scale: float, coefficients: np.ndarray) -> None:
    """Write a table: a hash of its name and content, then the content."""
    arrays = {"scale": np.array([scale]), "coefficients": np.ascontiguousarray(coefficients)}
    content = safetensors.numpy.save(arrays)
    with suppress(OSError):  # a read-only or full disk: fit again next time
        # Under another name first: ranks may write the same file at the same time.
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            file.write(_digest(path, content))
            file.write(content)
        try:
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink()


def read_table(path: Path, max_numbers: int) -> tuple[float, np.ndarray]:
    """Return the scale of the knots, Å, and the coefficients of a table.

    Args:
        max_numbers: no table has more coefficients.

    Raises:
        FileNotFoundError: there is none.
        SpoiledTableError: it is not what was written.
    """
    data = _read(path, _DIGEST_BYTES + _HEADER_BYTES + 8 * max_numbers)
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if digest != _digest(path, content):
        raise SpoiledTableError("its content is not what was written (hash)")
    try:
        arrays = safetensors.numpy.load(content)
        return float(arrays["scale"].item()), arrays["coefficients"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise SpoiledTableError(f"it is no table ({error})") from error


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise SpoiledTableError("it is no file")
        if size > max_bytes:
            raise SpoiledTableError(f"it has {size} bytes; a table has up to {max_bytes}")
        if reason := distrust(path):
            raise SpoiledTableError(reason)
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SpoiledTableError(f"it cannot be read ({error.strerror})") from error


def _digest(path: Path, content: bytes) -> bytes:
    digest = hashlib.sha256(path.stem.encode())
    digest.update(content)
    return digest.digest()
