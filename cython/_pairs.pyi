# Types of lammps_mace._pairs (compiled from cython/_pairs.pyx).
from typing import Any

import numpy as np
from numpy.typing import NDArray

def bound_pairs(
    atoms: NDArray[np.int64],
    slots: NDArray[np.int64],
    offsets: NDArray[np.int64],
    chunk_slots: int,
    bounds: NDArray[np.int32],
) -> int:
    """Write where each slot's pairs begin and the last one's end; return the most pairs of a chunk.

    Args:
        atoms: [n], own atoms, in the order wanted.
        slots: [n], ascending, of each of these; slots that are not among them are empty.
        offsets: [n_local + 1]; the pairs of atom i are offsets[i]:offsets[i+1].
        chunk_slots: slots of a chunk.
        bounds: [n_slots + 1], the pairs of slot i are bounds[i]:bounds[i+1], in the order of slots.

    Raises:
        ValueError: an index is out of bounds, or there are more pairs than an int32 counts.
    """

def take_pairs(
    atoms: NDArray[np.int64],
    offsets: NDArray[np.int64],
    senders: NDArray[np.int32],
    vectors: NDArray[np.float64],
    rows: NDArray[np.int32],
    species: NDArray[np.int32],
    far: float,
    out_vectors: NDArray[Any],
    out_senders: NDArray[np.int32],
    out_species: NDArray[np.int32],
) -> None:
    """Write the pairs of these atoms one after the other, then fill the rest of the arrays.

    Args:
        atoms: [n], own atoms, in the order wanted.
        offsets: [n_local + 1]; the pairs of atom i are offsets[i]:offsets[i+1].
        senders: [n_pairs], an atom or ghost.
        vectors: [n_pairs, 3], r_neighbour - r_centre.
        rows, species: [n_total], of each atom and ghost.
        far: length of the vectors behind the last pair, whose row and species are 0.
        out_vectors: float32 or float64 [n_rows, 3], r_centre - r_neighbour.
        out_senders, out_species: [n_rows], rows and species of the senders.

    Raises:
        ValueError: an index is out of bounds, or there are too few rows.
    """

def give_energies(
    atoms: NDArray[np.int64],
    slots: NDArray[np.int64],
    outputs: NDArray[Any] | memoryview,
    species: NDArray[np.int32],
    shifts: NDArray[np.float64],
    scale: float,
    out: NDArray[np.float64],
) -> None:
    """Write the energies of these atoms, eV, and 0 for all others.

    Args:
        atoms, slots: rows of ``out`` and of ``outputs``.
        outputs: [n_slots, n_outputs], float32 or float64; the first are the network's energies.
        species: [n_atoms].
        shifts, scale: eV of each species besides the network's, and of one of its units.
        out: [n_atoms].
    """

def give_gradient(
    atoms: NDArray[np.int64],
    offsets: NDArray[np.int64],
    gradient: NDArray[Any] | memoryview,
    out: NDArray[np.float64],
) -> None:
    """Write the gradients of these atoms' pairs, float32 or float64, back in the first order.

    Args:
        atoms, offsets: as they were given to :func:`take_pairs`.
        gradient: [n_rows, 3], by r_centre - r_neighbour.
        out: [n_pairs, 3], by r_neighbour - r_centre; the pairs of other atoms stay as they are.

    Raises:
        ValueError: an index is out of bounds.
    """

def near_pairs(
    listed_offsets: NDArray[np.int64],
    listed_senders: NDArray[np.int32],
    shifts: NDArray[np.float64],
    positions: NDArray[np.float64],
    cutoff: float,
    offsets: NDArray[np.int64],
    senders: NDArray[np.int32],
    vectors: NDArray[np.float64],
) -> int:
    """Write those pairs of a list that are closer than the cutoff; return how many they are.

    Args:
        listed_offsets: [n_atoms + 1]; the listed pairs of atom i are those from [i] to [i + 1].
        listed_senders: [n_listed], the other atom of each.
        shifts: [n_listed, 3], how far the image of that atom is from it.
        positions: [n_atoms, 3].
        offsets: [n_atoms + 1], of the near pairs.
        senders: [n_listed or more], of these.
        vectors: [n_listed or more, 3], r_sender - r_atom.

    Raises:
        ValueError: two atoms are in one place, or an index is out of bounds.
    """

def sum_pairs(
    offsets: NDArray[np.int64],
    senders: NDArray[np.int32],
    vectors: NDArray[np.float64],
    gradient: NDArray[np.float64],
    forces: NDArray[np.float64],
    virial: NDArray[np.float64],
) -> None:
    """Add the forces of pairs to the atoms', and their part of the virial.

    Args:
        offsets, senders, vectors: as :func:`near_pairs` writes them, [n_pairs].
        gradient: [n_pairs, 3], dE/d vectors.
        forces: [n_atoms, 3].
        virial: [3, 3], -gradient (x) vectors.

    Raises:
        ValueError: an index is out of bounds.
    """
