"""ML-IAP's data object of one step: its arrays, on the host or on a GPU, and its exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lammps_mace.coupling.mliap.pair_lists import Pairs
from lammps_mace.engine.interface import DomainGraph, NoExchange


def can_exchange(data: Any) -> bool:
    """Return whether ranks can exchange rows: with the KOKKOS package."""
    return hasattr(data, "forward_exchange")


def has_ghost_centres(data: Any) -> bool:
    """Return whether ghosts have pairs of their own, which ghostneigh 1 asks for."""
    return data.natomneigh > data.nlistatoms


def read_pairs(data: Any, species_of_element: np.ndarray) -> Pairs:
    """Return the pairs of a data object.

    Args:
        species_of_element: int32 [n_elements + 1], the last is for element -1.
    """
    species = _species(data, species_of_element)
    if data.npairs == 0:
        nobody = np.zeros(0, np.int32)
        return Pairs(species, data.nlocal, nobody, nobody, np.zeros((0, 3)))
    centres, neighbours = _host(data.pair_i), _host(data.pair_j)
    return Pairs(species, data.nlocal, centres, neighbours, _host(data.rij))


def gpu_graph(data: Any, species_of_element: np.ndarray, several: bool) -> DomainGraph:
    """Return the graph of own atoms; the pairs stay on the GPU.

    Args:
        species_of_element: as for :func:`read_pairs`.
        several: other ranks exchange rows: this one must too, even if it has no ghosts.
    """
    import cupy

    counts = _host(cupy.bincount(data.pair_i, minlength=data.nlocal))[: data.nlocal]
    return DomainGraph(
        species=_species(data, species_of_element),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        senders=data.pair_j,
        displacements=data.rij,
        one_domain=data.ntotal == data.nlocal and not several,
        receivers=data.pair_i,
    )


def _species(data: Any, species_of_element: np.ndarray) -> np.ndarray:
    """Return int32 [n_total]; own atoms that are not in the list are not part of the model."""
    # Arrays without elements cannot be had: their getters raise.
    elements = _host(data.elems) if data.ntotal else np.zeros(0, np.int32)
    species = species_of_element[elements]
    unlisted = np.ones(data.nlocal, bool)
    unlisted[_listed(data)] = False
    species[: data.nlocal][unlisted] = -1
    return species


def write_results(data: Any, energies: np.ndarray, gradient: Any) -> None:
    """Give energies and forces to LAMMPS.

    Args:
        energies: float64 [n_local], in LAMMPS's unit.
        gradient: float64 [n_pairs, 3], dE/d rij, on the host or where ``data`` is: ML-IAP adds it
            to the force on i.
    """
    data.energy = float(energies.sum())
    if data.nlistatoms:
        _write_energies(data, energies[_listed(data)])
    if data.npairs:  # ML-IAP looks at the first row without asking
        given = _like(data.rij, gradient) if isinstance(gradient, np.ndarray) else gradient
        data.update_pair_forces(given)
        finish(given)


def _write_energies(data: Any, energies: np.ndarray) -> None:
    if hasattr(data, "eatoms"):  # KOKKOS: a view to fill
        data.eatoms[:] = _like(data.eatoms, energies)
    else:  # can be set, not read
        data.eatoms = energies


def _listed(data: Any) -> np.ndarray:
    """Return the own atoms of the neighbour list; energies are in this order."""
    if data.nlistatoms == 0:
        return np.zeros(0, np.int64)
    return _host(data.iatoms)[: data.nlistatoms]


def _host(array: Any) -> np.ndarray:
    """Return an array of ML-IAP as NumPy array; on a GPU it is CuPy's."""
    return array if isinstance(array, np.ndarray) else array.get()


def on_host(data: Any) -> bool:
    """Return whether the arrays are NumPy's."""
    return not data.ntotal or isinstance(data.elems, np.ndarray)


def owner(data: Any, devices: list[Any]) -> Any:
    """Return the JAX device that holds the data object's arrays; None if they are on the host.

    Args:
        devices: JAX's, of this process. CUDA numbers them for CuPy and for JAX alike.
    """
    if on_host(data):
        return None
    number = data.elems.device.id
    found = [d for d in devices if d.platform != "cpu" and d.local_hardware_id == number]
    if not found:
        raise ValueError(
            f"LAMMPS's arrays are on GPU {number}, which JAX does not see: install the JAX of "
            "your CUDA (pip install 'lammps-mace[cuda12]'), or run LAMMPS without -k on"
        )
    return found[0]


def _like(model: Any, array: np.ndarray) -> Any:
    """Return ``array`` where ``model`` is: on the host, or on its GPU."""
    if isinstance(model, np.ndarray):
        return array
    import cupy

    with model.device:
        return cupy.asarray(array)


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
        return _host(exchange(_like(self._data.elems, rows) if len(rows) else rows))

    @staticmethod
    def _copy(method: Any, given: Any) -> Any:
        result = given.copy()
        method(_Buffer(given), _Buffer(result), given.shape[1])
        finish(result)
        return result


def finish(array: Any) -> None:
    """Wait for what KOKKOS does with an array on a GPU: its functions return before that."""
    if not isinstance(array, np.ndarray):
        array.device.synchronize()


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
    elements = _host(data.elems) + 2 if data.ntotal else np.zeros(0)
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
