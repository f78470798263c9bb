"""What ranks do together when one of them fails: all of them end with its reason."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from lammps_mace.coupling.mliap.lammps_handle import Lammps
from lammps_mace.coupling.mliap.messages import MLIAPError
from lammps_mace.runtime.cache import notices
from lammps_mace.runtime.placement import Rank

Result = TypeVar("Result")
_STYLE = "pair_style mliap unified: "


class Collective:
    """The ranks of one LAMMPS.

    Args:
        rank: this one.
        comm: mpi4py's communicator; None without MPI.
        lammps: None if it is not recognised.
    """

    def __init__(self, rank: Rank, comm: Any, lammps: Lammps | None) -> None:
        self.rank, self.comm, self._lammps = rank, comm, lammps

    @property
    def here(self) -> str:
        """Name this rank, to be added to a reason."""
        return f" (rank {self.rank.index} of {self.rank.size})"

    def together(self, action: Callable[[], Result], where: str = "") -> Result:
        """Return what ``action`` returns; where it fails on one rank, fail on every rank alike.

        Args:
            where: added to the reason.

        Raises:
            MLIAPError: with the reason of the first rank that failed.
        """
        result, failure, reason = None, None, ""
        try:
            result = action()
        except BaseException as error:
            failure, reason = error, (str(error) or type(error).__name__) + where
        speaker = self._first(failure is not None)
        if speaker is None:
            return result  # type: ignore[return-value]
        reason = reason if self.comm is None else self.comm.bcast(reason, root=speaker)
        text = _STYLE + reason.removeprefix(_STYLE)
        self.warn(text)
        # What is said in words needs no traceback; the unexpected does.
        raise MLIAPError(text) from (None if isinstance(failure, ValueError) else failure)

    def warn(self, text: str) -> None:
        """Put a line on rank 0's screen and into the log file, now."""
        if self._lammps is not None and self.rank.index == 0:
            self._lammps.warn(text)

    @contextmanager
    def tell_notices(self) -> Iterator[None]:
        """Warn of what of the cache folder is not used within."""
        with notices() as found:
            yield
        for text in found:
            self.warn(f"lammps-mace: {text}")

    def end(self, error: BaseException) -> None:
        """End all ranks: LAMMPS would let the others wait for this one. One rank: return."""
        text = f"{_STYLE}{str(error) or type(error).__name__}{self.here}"
        self.warn(text)
        if self.rank.size == 1:
            return
        traceback.print_exception(error)
        print(f"ERROR: {text}", file=sys.stderr, flush=True)
        self.comm.Abort(1)

    def _first(self, failed: bool) -> int | None:
        """Return the first rank that failed; collective."""
        if self.comm is None:
            return self.rank.index if failed else None
        from mpi4py import MPI

        # A buffer, not a Python object: this is done in every step.
        first = np.array([self.rank.index if failed else self.rank.size])
        self.comm.Allreduce(MPI.IN_PLACE, first, MPI.MIN)
        return int(first[0]) if first[0] < self.rank.size else None
