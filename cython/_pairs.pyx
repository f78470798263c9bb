"""Pairs from a list, into the engine's order, and from their gradients back; in one pass each."""
# cython: boundscheck=False, wraparound=False, initializedcheck=False

from cython cimport floating
from libc.stdint cimport INT32_MAX, int32_t, int64_t
from libc.string cimport memset


def bound_pairs(
    const int64_t[::1] atoms, const int64_t[::1] slots, const int64_t[::1] offsets,
    Py_ssize_t chunk_slots, int32_t[::1] bounds,
):
    """Write where the pairs of each slot begin and the last one's end; return a chunk's most pairs.

    Slots are ascending; those between are empty, as are those after the last.
    """
    cdef Py_ssize_t n_slots = len(bounds) - 1, slot = 0, k, chunk
    cdef int64_t n = 0, most = 0
    check_ranges(atoms, offsets, INT32_MAX, INT32_MAX)
    if len(slots) != len(atoms) or chunk_slots < 1:
        raise ValueError(f"{len(slots)} slots for {len(atoms)} atoms, {chunk_slots} in a chunk")
    bounds[0] = 0
    for k in range(len(atoms)):
        if not slot <= slots[k] < n_slots:
            raise ValueError(f"slots[{k}] is {slots[k]}, not between {slot} and {n_slots}")
        for slot in range(slot, slots[k]):
            bounds[slot + 1] = <int32_t> n
        slot = slots[k]
        n += offsets[atoms[k] + 1] - offsets[atoms[k]]
        bounds[slot + 1] = <int32_t> n
        slot += 1
    for slot in range(slot, n_slots):
        bounds[slot + 1] = <int32_t> n
    for chunk in range(0, n_slots, chunk_slots):
        most = max(most, bounds[min(chunk + chunk_slots, n_slots)] - bounds[chunk])
    return most


def take_pairs(
    const int64_t[::1] atoms, const int64_t[::1] offsets, const int32_t[::1] senders,
    const double[:, ::1] vectors, const int32_t[::1] rows, const int32_t[::1] species, double far,
    floating[:, ::1] out_vectors, int32_t[::1] out_senders, int32_t[::1] out_species,
):
    """Write the pairs of these atoms one after the other, with the model's sign, then fill the rest."""
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
    for pair in range(n, len(out_vectors)):
        out_vectors[pair, 0] = <floating> far
        out_vectors[pair, 1] = out_vectors[pair, 2] = 0
    for pair in range(n, len(out_senders)):
        out_senders[pair] = 0
    for pair in range(n, len(out_species)):
        out_species[pair] = 0


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


def give_energies(
    const int64_t[::1] atoms, const int64_t[::1] slots, const floating[:, ::1] outputs,
    const int32_t[::1] species, const double[::1] shifts, double scale, double[::1] out,
):
    """Write the energies of these atoms, of the first output of their slots; 0 for all others."""
    cdef Py_ssize_t k
    cdef int32_t kind
    if len(slots) != len(atoms) or len(species) != len(out) or (len(atoms) and not outputs.shape[1]):
        raise ValueError("arrays of atoms of different lengths")
    out[:] = 0.0
    for k in range(len(atoms)):
        if not 0 <= atoms[k] < len(out) or not 0 <= slots[k] < outputs.shape[0]:
            raise ValueError(f"atoms[{k}] is {atoms[k]}, slots[{k}] is {slots[k]}: there is no such row")
        kind = species[atoms[k]]
        if not 0 <= kind < len(shifts):
            raise ValueError(f"species[{atoms[k]}] is {kind}, there are {len(shifts)}")
        out[atoms[k]] = outputs[slots[k], 0] * scale + shifts[kind]


def near_pairs(
    const int64_t[::1] listed_offsets, const int32_t[::1] listed_senders, const double[:, ::1] shifts,
    const double[:, ::1] positions, double cutoff,
    int64_t[::1] offsets, int32_t[::1] senders, double[:, ::1] vectors,
):
    """Write the listed pairs that are closer than the cutoff; return how many there are."""
    cdef Py_ssize_t n = 0, n_atoms = len(positions), n_listed = len(shifts), atom, pair
    cdef double here[3]
    cdef double x, y, z, squared, closest = 1.0
    cdef int32_t sender
    if not len(offsets) == len(listed_offsets) == n_atoms + 1 or len(listed_senders) != n_listed:
        raise ValueError("arrays of pairs, or of atoms, of different lengths")
    if n_listed > min(len(senders), len(vectors)):
        raise ValueError(f"{n_listed} pairs, more than there is room for")
    for atom in range(n_atoms):
        if not 0 <= listed_offsets[atom] <= listed_offsets[atom + 1] <= n_listed:
            raise ValueError(f"offsets of atom {atom} are no range of {n_listed} pairs")
        offsets[atom] = n
        here[0], here[1], here[2] = positions[atom, 0], positions[atom, 1], positions[atom, 2]
        for pair in range(listed_offsets[atom], listed_offsets[atom + 1]):
            sender = listed_senders[pair]
            if not 0 <= sender < n_atoms:
                raise ValueError(f"senders[{pair}] is {sender}, there are {n_atoms} atoms")
            x = positions[sender, 0] - here[0] + shifts[pair, 0]
            y = positions[sender, 1] - here[1] + shifts[pair, 1]
            z = positions[sender, 2] - here[2] + shifts[pair, 2]
            squared = x * x + y * y + z * z
            closest = min(closest, squared)
            # The next pair writes over one that is too far: a branch that is often wrong costs more.
            senders[n] = sender
            vectors[n, 0], vectors[n, 1], vectors[n, 2] = x, y, z
            n += squared < cutoff * cutoff
    offsets[n_atoms] = n
    if closest == 0.0:
        refuse_one_place(offsets, senders, vectors)
    return n


cdef refuse_one_place(const int64_t[::1] offsets, const int32_t[::1] senders, const double[:, ::1] vectors):
    """The network is finite there, and its forces have no direction."""
    cdef Py_ssize_t atom, pair
    for atom in range(len(offsets) - 1):
        for pair in range(offsets[atom], offsets[atom + 1]):
            if vectors[pair, 0] == vectors[pair, 1] == vectors[pair, 2] == 0.0:
                raise ValueError(f"atoms: {atom} and {senders[pair]} are in one place")


def sum_pairs(
    const int64_t[::1] offsets, const int32_t[::1] senders, const double[:, ::1] vectors,
    const double[:, ::1] gradient, double[:, ::1] forces, double[:, ::1] virial,
):
    """Add what pairs pull at their atoms to the forces, and what they add to the virial."""
    cdef Py_ssize_t n_atoms = len(forces), n_pairs = len(senders), atom, pair, i
    cdef double here[3]
    cdef double total[9]
    cdef const double *slope
    cdef int32_t sender
    if len(offsets) != n_atoms + 1 or not len(vectors) == len(gradient) == n_pairs or len(virial) != 3:
        raise ValueError("arrays of pairs, or of atoms, of different lengths")
    memset(total, 0, sizeof(total))
    for atom in range(n_atoms):
        if not 0 <= offsets[atom] <= offsets[atom + 1] <= n_pairs:
            raise ValueError(f"offsets of atom {atom} are no range of {n_pairs} pairs")
        memset(here, 0, sizeof(here))
        for pair in range(offsets[atom], offsets[atom + 1]):
            sender = senders[pair]
            if not 0 <= sender < n_atoms:
                raise ValueError(f"senders[{pair}] is {sender}, there are {n_atoms} atoms")
            slope = &gradient[pair, 0]
            add(here, 1.0, slope)
            add(&forces[sender, 0], -1.0, slope)
            add(&total[0], -slope[0], &vectors[pair, 0])
            add(&total[3], -slope[1], &vectors[pair, 0])
            add(&total[6], -slope[2], &vectors[pair, 0])
        add(&forces[atom, 0], 1.0, here)
    for i in range(3):
        add(&virial[i, 0], 1.0, &total[3 * i])


cdef inline void add(double *total, double factor, const double *vector) noexcept:
    total[0] += factor * vector[0]
    total[1] += factor * vector[1]
    total[2] += factor * vector[2]


cdef check_ranges(
    const int64_t[::1] atoms, const int64_t[::1] offsets, Py_ssize_t n_pairs, Py_ssize_t capacity
):
    """Nothing in the loops above is out of bounds: they check no index."""
    cdef Py_ssize_t k, n = 0
    for k in range(len(atoms)):
        if not 0 <= atoms[k] < offsets.shape[0] - 1:
            raise ValueError(f"atoms[{k}] is {atoms[k]}, there are {len(offsets) - 1} atoms")
        if not 0 <= offsets[atoms[k]] <= offsets[atoms[k] + 1] <= n_pairs:
            raise ValueError(f"offsets of atom {atoms[k]} are no range of {n_pairs} pairs")
        n += offsets[atoms[k] + 1] - offsets[atoms[k]]
    if n > capacity:
        raise ValueError(f"{n} pairs, more than the capacity of {capacity}")
