"""A structure from a file, for several commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ase import Atoms


def read_structure(path: str) -> Atoms:
    """Read one structure with ASE.

    Raises:
        ValueError: ASE is missing, or cannot read the file, or finds no atoms.
    """
    try:
        import ase.io
    except ImportError:
        raise ValueError("reading structures needs ASE: pip install 'lammps-mace[tools]'") from None
    if not Path(path).is_file():
        raise ValueError(f"structure {path!r} does not exist")
    try:
        atoms = ase.io.read(path)
    except Exception as error:  # every reader of ASE has its own
        raise ValueError(f"structure {path!r}: ASE cannot read it: {error}") from None
    if len(atoms) == 0:
        raise ValueError(f"structure {path!r} has no atoms")
    return cast("Atoms", atoms)  # not a list: one structure was asked for
