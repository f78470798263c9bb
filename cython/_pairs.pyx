"""Pairs from LAMMPS's order into the engine's and their gradients back, in one pass each."""
# cython: boundscheck=False, wraparound=False, initializedcheck=False

from cython cimport floating
from libc.stdint cimport int32_t, int64_t


def take_pairs(
    const int64_t[::1] atoms, const int64_t[::1] offsets, const int32_t[::1] senders,
    const double[:, ::1] vectors, const int32_t[::1] rows, const int32_t[::1] species,
    floating[:, ::1] out_vectors, int32_t[::1] out_senders, int32_t[::1] out_species,
):
    """Write the pairs of these atoms one after the other, with the model's sign; return how many."""
    cdef Py_ssize_t n = 0, k, pair, axis
    cdef int32_t sender
    check_ranges(atoms, offsets, len(senders), min(len(out_senders), len(out_species), len(out_vectors)))
    if len(vectors) != len(senders) or len(rows) != len(species):
        raise ValueError("arrays of pairs, or of atoms, of different lengths")
    for k in range(len(atoms)):
        for pair in range(offsets[atoms[k]], offsets[atoms[k] + 1]):
            sender = senders[pair]
            if not 0 <= sender < rows.shape[0]:
                raise ValueError(f"senders[{pair}] is {sender}, there are {len(rows)} atoms")
            out_senders[n] = rows[sender]
            out_species[n] = species[sender]
            for axis in range(3):
                # The centre of a pair receives: LAMMPS's r_neighbour - r_centre has the other sign.
                out_vectors[n, axis] = <floating> -vectors[pair, axis]
            n += 1
    return n


def give_gradient(
    const int64_t[::1] atoms, const int64_t[::1] offsets, const floating[:, ::1] gradient,
    double[:, ::1] out,
):
    """Write the gradients of these atoms' pairs where the pairs came from, with LAMMPS's sign."""
    cdef Py_ssize_t n = 0, k, pair, axis
    check_ranges(atoms, offsets, len(out), len(gradient))
    for k in range(len(atoms)):
        for pair in range(offsets[atoms[k]], offsets[atoms[k] + 1]):
            for axis in range(3):
                out[pair, axis] = -gradient[n, axis]
            n += 1


cdef check_ranges(
    const int64_t[::1] atoms, const int64_t[::1] offsets, Py_ssize_t n_pairs, Py_ssize_t room
):
    """Nothing in the loops above is out of bounds: they check no index."""
    cdef Py_ssize_t k, n = 0
    for k in range(len(atoms)):
        if not 0 <= atoms[k] < offsets.shape[0] - 1:
            raise ValueError(f"atoms[{k}] is {atoms[k]}, there are {len(offsets) - 1} atoms")
        if not 0 <= offsets[atoms[k]] <= offsets[atoms[k] + 1] <= n_pairs:
            raise ValueError(f"offsets of atom {atoms[k]} are no range of {n_pairs} pairs")
        n += offsets[atoms[k] + 1] - offsets[atoms[k]]
    if n > room:
        raise ValueError(f"no room for {n} pairs: {room}")
