"""ML-IAP's data object of one step: its arrays, on the host or on a GPU, read and written."""

from __future__ import annotations

from typing import Any

import numpy as np

from lammps_mace.coupling.mliap.pair_lists import ListedPairs


def can_exchange(data: Any) -> bool:
    """Return whether ranks can exchange rows: with the KOKKOS package."""
    return hasattr(data, "forward_exchange")


def has_ghost_centres(data: Any) -> bool:
    """Return whether ghosts have pairs of their own, which ghostneigh 1 asks for."""
    return data.natomneigh > data.nlistatoms


def read_pairs(data: Any, species_of_element: np.ndarray) -> ListedPairs:
    """Return the pairs of a data object.

    Args:
        species_of_element: int32 [n_elements + 1], the last is for element -1.
    """
    species = species_of(data, species_of_element)
    if data.npairs == 0:
        nobody = np.zeros(0, np.int32)
        return ListedPairs(species, data.nlocal, nobody, nobody, np.zeros((0, 3)))
    centres, neighbours = to_host(data.pair_i), to_host(data.pair_j)
    return ListedPairs(species, data.nlocal, centres, neighbours, to_host(data.rij))


def species_of(data: Any, species_of_element: np.ndarray) -> np.ndarray:
    """Return the species, int32 [n_total]; own atoms that are not listed have none, -1."""
    # Arrays without elements cannot be had: their getters raise.
    elements = to_host(data.elems) if data.ntotal else np.zeros(0, np.int32)
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
        given = to_device_of(data.rij, gradient) if isinstance(gradient, np.ndarray) else gradient
        data.update_pair_forces(given)
        finish(given)


def _write_energies(data: Any, energies: np.ndarray) -> None:
    if hasattr(data, "eatoms"):  # KOKKOS: a view to fill
        data.eatoms[:] = to_device_of(data.eatoms, energies)
    else:  # can be set, not read
        data.eatoms = energies


def _listed(data: Any) -> np.ndarray:
    """Return the own atoms of the neighbour list; energies are in this order."""
    if data.nlistatoms == 0:
        return np.zeros(0, np.int64)
    return to_host(data.iatoms)[: data.nlistatoms]


def to_host(array: Any) -> np.ndarray:
    """Return an array of ML-IAP, NumPy's or on a GPU CuPy's, as NumPy array."""
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


def to_device_of(model: Any, array: np.ndarray) -> Any:
    """Return ``array`` where ``model`` is: on the host, or on its GPU."""
    if isinstance(model, np.ndarray):
        return array
    import cupy

    with model.device:
        return cupy.asarray(array)


def finish(array: Any) -> None:
    """Wait for what KOKKOS does with an array on a GPU: its functions return before that."""
    if not isinstance(array, np.ndarray):
        array.device.synchronize()
