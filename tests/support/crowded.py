"""Settings of MPICH where there are more ranks than cores: those that wait sleep for moments.

In sums over shared memory they would not: with those, four ranks on two cores take several times
as long. test_docs.py and test_readme.py run MPICH as it is.
"""

import os

SETTINGS = {
    "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1",
    **{
        f"MPIR_CVAR_{operation}_POSIX_INTRA_ALGORITHM": "mpir"
        for operation in ("ALLREDUCE", "BARRIER", "BCAST", "REDUCE")
    },
}


def set_variables() -> None:
    """Set them for LAMMPS runs that this process starts, except those that are set."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
