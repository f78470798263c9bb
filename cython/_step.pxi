# The Step through which Python sees one time step; a part of _bridge.pyx.
import numpy as np

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.memoryview cimport PyMemoryView_FromMemory

cdef extern from "Python.h":
    enum:
        PyBUF_READ
        PyBUF_WRITE

cdef object INT32 = np.dtype(np.int32), INT64 = np.dtype(np.int64), FLOAT64 = np.dtype(np.float64)
cdef char nothing = 0  # an address for arrays without elements


cdef array(const void *data, tuple shape, object dtype, bint writable=False):
    """A NumPy view of plugin memory, valid until the step ends."""
    cdef Py_ssize_t n, n_bytes = dtype.itemsize
    for n in shape:
        n_bytes *= n
    cdef char *start = <char *> data if n_bytes else &nothing
    memory = PyMemoryView_FromMemory(start, n_bytes, PyBUF_WRITE if writable else PyBUF_READ)
    return np.ndarray(shape, dtype, buffer=memory)


cdef class StepList:
    """The neighbour list of a step whose pairs are the device's; valid during the step only."""

    @staticmethod
    cdef StepList wrap(lammps_mace_list *raw, int64_t n_local, int64_t n_total):
        cdef StepList made = StepList.__new__(StepList)
        n_atoms = raw.n_atoms
        made.raw = raw
        made.rows = array(raw.rows, (n_atoms,), INT32)
        made.offsets = array(raw.offsets, (n_local + 1,), INT64)
        made.neighbours = array(raw.neighbours, (raw.n_listed,), INT32)
        made.sent = array(raw.sent, (raw.n_sent,), INT32)
        made.positions = array(raw.positions, (n_atoms, 3), FLOAT64)
        made.forces = array(raw.forces, (n_total, 3), FLOAT64, True)
        made.virials = None
        if raw.wants_virials:
            made.virials = array(raw.virials, (n_total, 6), FLOAT64, True)
        return made

    cdef lammps_mace_list *live(self) except NULL:
        if self.raw == NULL:
            raise RuntimeError("this StepList is over: it may be used only inside PluginPotential.compute")
        return self.raw

    @property
    def number(self):
        return self.live().number

    def finish(self, virial, n_close, coincident, rowless):
        """Hand over the virial [6], eV, and what was found about the pairs."""
        cdef lammps_mace_list *raw = self.live()
        cdef Py_ssize_t c
        for c in range(6):
            raw.virial[c] = virial[c]
        raw.n_close, raw.coincident, raw.rowless = n_close, coincident, rowless


cdef class Step:
    """One call of ``Pair::compute`` on one rank; its arrays are valid during that call only."""

    @staticmethod
    cdef Step wrap(lammps_mace_step *raw):
        cdef Step step = Step.__new__(Step)
        n_local, n_total, n_pairs = raw.n_local, raw.n_total, raw.n_pairs
        step.raw = raw
        step.species = array(raw.species, (n_total,), INT32)
        step.node_energies = array(raw.node_energies, (n_local,), FLOAT64, True)
        step.positions = step.centroid_virial = None
        if raw.list != NULL:
            step.list = StepList.wrap(raw.list, n_local, n_total)
            return step
        step.offsets = array(raw.offsets, (n_local + 1,), INT64)
        step.senders = array(raw.senders, (n_pairs,), INT32)
        step.vectors = array(raw.vectors, (n_pairs, 3), FLOAT64)
        step.pair_gradient = array(raw.pair_gradient, (n_pairs, 3), FLOAT64, True)
        if raw.wants_centroid:
            step.positions = array(raw.positions, (n_local, 3), FLOAT64)
            step.centroid_virial = array(raw.centroid_virial, (n_total, 3, 3), FLOAT64, True)
        return step

    cdef lammps_mace_step *live(self) except NULL:
        if self.raw == NULL:
            raise RuntimeError("this Step is over: it may be used only inside PluginPotential.compute")
        return self.raw

    @property
    def tags(self):
        """Atom IDs, made when they are asked for: only messages name them."""
        cdef lammps_mace_step *raw = self.live()
        return array(raw.tags, (raw.n_total,), INT64)

    @property
    def n_local(self):
        return self.live().n_local

    @property
    def n_total(self):
        return self.live().n_total

    @property
    def number(self):
        return self.live().number

    @property
    def one_domain(self):
        return bool(self.live().one_domain)

    def forward_exchange(self, rows, row_index=None):
        """Fill the rows of other ranks' atoms from their owners, in place; collective."""
        self.exchange(rows, row_index, 0)

    def reverse_exchange(self, rows, row_index=None):
        """Add the rows of other ranks' atoms into their owners', in place; collective."""
        self.exchange(rows, row_index, 1)

    cdef exchange(self, object rows, object row_index, int reverse):
        cdef lammps_mace_step *raw = self.live()
        cdef lammps_mace_rows given
        cdef Py_buffer view
        cdef const char *message
        PyObject_GetBuffer(rows, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE | PyBUF_FORMAT)
        try:
            if view.format[0] not in (b"f", b"d") or view.format[1] != 0:
                raise TypeError(f"exchange rows must be float32 or float64, got {rows.dtype}")
            if view.ndim != 2 or (row_index is None and view.shape[0] != raw.n_total):
                raise ValueError(f"exchange rows must be [n_total={raw.n_total}, width], got {rows.shape}")
            given.first, given.width, given.item_bytes = view.buf, view.shape[1], view.itemsize
            given.row_index = NULL
            if row_index is not None:
                given.row_index = self.checked(row_index, view.shape[0])
            with nogil:
                message = raw.exchange(raw.exchanger, reverse, &given)
            if message != NULL:
                raise RuntimeError(text_of(message))
        finally:
            PyBuffer_Release(&view)

    cdef const int32_t *checked(self, const int32_t[::1] row_index, int64_t n_rows) except NULL:
        """The address of row_index, once each is known to be a row: C++ writes there.

        Other ranks' atoms stand together, so that messages arrive in place.
        """
        cdef Py_ssize_t i, ghosts = self.raw.n_local
        if row_index.shape[0] != self.raw.n_total:
            raise ValueError(f"exchange row_index must be [n_total={self.raw.n_total}], got {row_index.shape[0]}")
        for i in range(row_index.shape[0]):
            if not 0 <= row_index[i] < n_rows:
                raise ValueError(f"exchange row_index[{i}] is {row_index[i]}, there are {n_rows} rows")
            if i > ghosts and row_index[i] != row_index[ghosts] + i - ghosts:
                raise ValueError(f"exchange row_index[{i}] is {row_index[i]}, not next to the row before it")
        return &row_index[0] if row_index.shape[0] else <const int32_t *> &nothing

    def exchange_handle(self, row_index, n_rows):
        """The addresses of the step and of row_index, see kernels/ghost_exchange_call.cpp."""
        cdef lammps_mace_step *raw = self.live()
        addresses = [<size_t> raw, <size_t> self.checked(row_index, n_rows)]
        return np.array(addresses, np.uintp).view(np.uint32)

    def sum(self, values):
        """Return float64 [n] summed over all ranks; collective."""
        cdef lammps_mace_step *raw = self.live()
        cdef double[::1] view = np.array(values, np.float64)
        cdef int count = view.shape[0]
        cdef double *start = &view[0] if count else <double *> &nothing
        cdef const char *message
        with nogil:
            message = raw.sum(raw.exchanger, start, count)
        if message != NULL:
            raise RuntimeError(text_of(message))
        return np.asarray(view)

    def charge(self, charges):
        """Give the plugin the charges of own atoms, return their potentials; collective."""
        cdef lammps_mace_step *raw = self.live()
        cdef const double[::1] given = np.ascontiguousarray(charges, np.float64)
        cdef double[::1] found = np.zeros(raw.n_local)
        cdef const double *source = <const double *> &nothing
        cdef double *target = <double *> &nothing
        cdef const char *message
        if given.shape[0] != raw.n_local:
            raise ValueError(f"charges must be [n_local={raw.n_local}], got {given.shape[0]}")
        if raw.n_local:
            source, target = &given[0], &found[0]
        with nogil:
            message = raw.charge(raw.exchanger, source, target)
        if message != NULL:
            raise RuntimeError(text_of(message))
        return np.asarray(found)

    def log(self, str line):
        """Let rank 0 write a line to LAMMPS's screen and log, now."""
        cdef lammps_mace_step *raw = self.live()
        cdef bytes text = line.encode("utf-8", "backslashreplace")
        raw.log(raw.exchanger, text)
