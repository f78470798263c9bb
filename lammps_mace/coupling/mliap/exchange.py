"""The exchange of a KOKKOS data object, and the check that it moves rows where they belong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lammps_mace.coupling.mliap.data import finish, to_device_of, to_host
from lammps_mace.engine.interface import NoExchange


class KokkosExchange(NoExchange):
    """Exchanges rows through a data object of the KOKKOS package."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def forward_exchange(self, rows: np.ndarray, row_index: np.ndarray) -> None:
        """Fill the ghosts' rows from their owners, in place; collective."""
        rows[row_index] = self._by_atom(self.forward_copy, rows[row_index])

    def reverse_exchange(self, rows: np.ndarray, row_index: np.ndarray) -> None:
        """Add the ghosts' rows into their owners', in place; collective."""
        rows[row_index] = self._by_atom(self.reverse_copy, rows[row_index])

    def forward_copy(self, rows: Any) -> Any:
        """Return a copy with the ghosts' rows from their owners; collective.

        Args:
            rows: [n_total or more, width], where the data object's arrays are.
        """
        return self._copy(self._data.forward_exchange, rows)

    def reverse_copy(self, rows: Any) -> Any:
        """Return a copy with the ghosts' rows added to their owners'; collective."""
        return self._copy(self._data.reverse_exchange, rows)

    def _by_atom(self, exchange: Callable[[Any], Any], rows: np.ndarray) -> np.ndarray:
        return to_host(exchange(to_device_of(self._data.elems, rows) if len(rows) else rows))

    @staticmethod
    def _copy(method: Any, given: Any) -> Any:
        result = given.copy()
        method(_Buffer(given), _Buffer(result), given.shape[1])
        finish(result)
        return result


class _Buffer:
    """An array as ML-IAP's exchange wants it: with ``dtype`` and the address ``data.ptr``."""

    def __init__(self, array: Any) -> None:
        self.dtype, self.data = array.dtype, self
        self.ptr = array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


def prove_exchange(data: Any, tags: np.ndarray | None, total: Callable[[int], int]) -> None:
    """Check one exchange of known rows in each direction; collective.

    A ghost must get what its owner gives, and give back one to its owner: with a weight w that
    follows from what an atom is, sum(own atoms: received * w) = sum(ghosts: w) over all ranks.

    Args:
        tags: atom IDs [n_total]; None: elements, which tell less, stand for them.
        total: sums an integer over all ranks.

    Raises:
        ValueError: rows were lost or came to the wrong place.
    """
    n, exchange = data.nlocal, KokkosExchange(data)
    elements = to_host(data.elems) + 2 if data.ntotal else np.zeros(0)
    keys = (elements if tags is None else tags).astype(np.uint64)
    rows = keys.astype(np.float64)[:, None]
    rows[n:] = -1.0
    exchange.forward_exchange(rows, np.arange(len(rows)))
    wrong = np.flatnonzero(rows[:, 0] != keys)
    counts = np.zeros((len(keys), 1))
    counts[n:] = 1.0
    # Also where rows were wrong: the others are in it.
    exchange.reverse_exchange(counts, np.arange(len(counts)))
    received = np.nan_to_num(counts[:n, 0]).astype(np.int64).astype(np.uint64)
    weights = keys**3  # modulo 2**64, as all below
    lost = total(int((received * weights[:n]).sum())) - total(int(weights[n:].sum()))
    if len(wrong):
        raise ValueError(_MOVED_WRONGLY.format(what=f"forward: row {wrong[0]} of {len(keys)}"))
    if lost % 2**64 or counts[n:].any():
        raise ValueError(_MOVED_WRONGLY.format(what="reverse"))


_MOVED_WRONGLY = (
    "the start check found that this LAMMPS or its MPI library moves rows wrongly between ranks "
    "({what}): use LAMMPS 11 Feb 2026 or newer, `comm_style brick`, and with GPUs a CUDA-aware MPI"
)
