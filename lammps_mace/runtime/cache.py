"""The cache folder: where it is, and whether what lies in it may be used."""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What tells one kind of processor from another, of x86 and of ARM.
_PROCESSOR = ("vendor_id", "cpu family", "model", "stepping", "flags", "CPU part", "Features")


class CacheWarning(UserWarning):
    """Something in the cache folder is not used; the text says why, and what to do."""


def cache_folder() -> Path:
    """Return where compiled code is kept: LAMMPS_MACE_CACHE, else the user's cache folder."""
    if folder := os.environ.get("LAMMPS_MACE_CACHE"):
        return Path(folder).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lammps-mace"


def private_folder(*names: str) -> Path | None:
    """Return the folder of these names in the cache, made where it is not there.

    None where there can be none, and with a CacheWarning where others can write to it: compiled
    code is run, and tables are believed.
    """
    try:
        folder = cache_folder()
        folder.parent.mkdir(parents=True, exist_ok=True)
        for path in (folder, *(folder.joinpath(*names[:n]) for n in range(1, len(names) + 1))):
            path.mkdir(mode=0o700, exist_ok=True)
            if reason := distrust(path):
                warnings.warn(f"the cache is not used: {reason}", CacheWarning, stacklevel=2)
                return None
    except (OSError, RuntimeError):
        return None  # a read-only home, or none
    return path


def distrust(path: Path) -> str | None:
    """Return why a file or folder may hold what somebody else wrote, and what to do; or None.

    Raises:
        OSError: it is not there.
    """
    status = path.stat()
    if status.st_uid not in (os.geteuid(), 0):
        return (
            f"{path} belongs to user {status.st_uid}, not to you (user {os.geteuid()}): let "
            "LAMMPS_MACE_CACHE name a folder of your own"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return (
            f"others can write to {path} (mode {stat.S_IMODE(status.st_mode):o}): chmod go-w "
            f"{path} if nobody did, or let LAMMPS_MACE_CACHE name a folder of your own"
        )
    return None


def processor() -> str:
    """Return a name of this kind of processor: compiled code may crash on another."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        first = ""
    pairs = (line.partition(":") for line in first.splitlines())
    told = [value.strip() for name, _, value in pairs if name.strip() in _PROCESSOR]
    digest = hashlib.sha256("\n".join(told or [platform.processor()]).encode())
    return f"{platform.machine()}-{digest.hexdigest()[:12]}"


@contextmanager
def notices() -> Iterator[list[str]]:
    """Collect the texts of CacheWarning within, each once, instead of warning."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CacheWarning)
        yield found
    for warning in caught:
        if not issubclass(warning.category, CacheWarning):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        elif str(warning.message) not in found:
            found.append(str(warning.message))
