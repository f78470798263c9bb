"""What the LAMMPS plugin calls in Python, and the Step through which Python sees one time step."""

import os
import traceback

import numpy as np

from lammps_mace.errors import UnusableFileError

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdlib cimport malloc
from libc.string cimport memcpy, strcpy

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


cdef str text_of(const char *given):
    """What LAMMPS or the plugin wrote: bytes that need not be UTF-8, whatever the locale."""
    return (<bytes> given).decode("utf-8", "replace")


cdef void *allocated(size_t n_bytes) except NULL:
    """Memory that the plugin frees."""
    cdef void *memory = malloc(n_bytes)
    if memory == NULL:
        raise MemoryError(f"no memory for {n_bytes} bytes")
    return memory


cdef class Step:
    """One call of ``Pair::compute`` on one rank; its arrays are valid during that call only."""

    @staticmethod
    cdef Step wrap(lammps_mace_step *raw):
        cdef Step step = Step.__new__(Step)
        n_local, n_total, n_pairs = raw.n_local, raw.n_total, raw.n_pairs
        step.raw = raw
        step.species = array(raw.species, (n_total,), INT32)
        step.tags = array(raw.tags, (n_total,), INT64)
        step.offsets = array(raw.offsets, (n_local + 1,), INT64)
        step.senders = array(raw.senders, (n_pairs,), INT32)
        step.vectors = array(raw.vectors, (n_pairs, 3), FLOAT64)
        step.node_energies = array(raw.node_energies, (n_local,), FLOAT64, True)
        step.pair_gradient = array(raw.pair_gradient, (n_pairs, 3), FLOAT64, True)
        return step

    cdef lammps_mace_step *live(self) except NULL:
        if self.raw == NULL:
            raise RuntimeError("this Step is over: it may be used only inside PluginPotential.compute")
        return self.raw

    @property
    def n_local(self):
        return self.live().n_local

    @property
    def n_total(self):
        return self.live().n_total

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


cdef void put(char *target, size_t capacity, str text) noexcept:
    """Copy text as C string, cut between two letters where it would not fit."""
    cdef bytes data = text.encode("utf-8", "backslashreplace")[: capacity - 1]
    data = data.decode("utf-8", "ignore").encode()
    memcpy(target, <const char *> data, len(data))
    target[len(data)] = 0


cdef void fail(lammps_mace_failure *failure, error) noexcept:
    """Describe a Python exception to the plugin."""
    strcpy(failure.reason, b"a Python exception that there was no memory to describe")
    failure.traceback[0] = 0
    try:
        reason = "".join(traceback.format_exception_only(error)).strip()
        trace = "".join(traceback.format_exception(error))
        if isinstance(error, UnusableFileError):  # all is said in words
            reason, trace = str(error), ""
    except BaseException:  # an exception whose text raises
        reason = trace = type(error).__name__
    put(failure.reason, sizeof(failure.reason), reason)
    # The end of a traceback says more than its start.
    put(failure.traceback, sizeof(failure.traceback), trace[-20000:])


cdef void *create(const char *path, int comm, const char *units,
                  lammps_mace_failure *failure) noexcept with gil:
    try:
        from lammps_mace.coupling.plugin_potential import PluginPotential

        potential = PluginPotential(os.fsdecode(<bytes> path), comm, text_of(units))
        Py_INCREF(potential)
        return <void *> <PyObject *> potential
    except BaseException as error:
        fail(failure, error)
        return NULL


cdef give(bytes data, char **target):
    target[0] = <char *> allocated(len(data) + 1)
    memcpy(target[0], <const char *> data, len(data) + 1)


cdef give_text(str text, char **target):
    give(text.encode("utf-8", "backslashreplace"), target)


cdef int find(const char *named, const char *was, const char *sha256, char **path,
              lammps_mace_failure *failure) noexcept with gil:
    try:
        from lammps_mace.coupling.model_path import find_restarted

        places = os.fsdecode(<bytes> named), os.fsdecode(<bytes> was)
        give(os.fsencode(find_restarted(*places, text_of(sha256))), path)
        return 0
    except BaseException as error:
        fail(failure, error)
        return 1


cdef int identify(void *handle, char **identity, lammps_mace_failure *failure) noexcept with gil:
    try:
        sha256, path = (<object> handle).identity
        give(os.fsencode(f"{sha256} {path}"), identity)
        return 0
    except BaseException as error:
        fail(failure, error)
        return 1


cdef describe_charges(settings, lammps_mace_charges *charges):
    charges.predicted = settings is not None
    if settings is None:
        return
    charges.write, charges.total = settings.write, settings.total
    charges.cutoff = settings.cutoff_angstrom
    charges.constant, charges.damping = settings.constant, settings.damping_angstrom


cdef int describe(void *handle, double *cutoff, double *energy_per_ev, int *n_exchanges,
                  int **row_bytes, lammps_mace_charges *charges,
                  lammps_mace_failure *failure) noexcept with gil:
    try:
        potential = <object> handle
        widths = [int(width) for width in potential.exchange_row_bytes]
        cutoff[0] = potential.cutoff_angstrom
        energy_per_ev[0] = potential.energy_per_ev
        describe_charges(getattr(potential, "charges", None), charges)
        row_bytes[0] = <int *> allocated((len(widths) + 1) * sizeof(int))
        for index, width in enumerate(widths):
            row_bytes[0][index] = width
        n_exchanges[0] = len(widths)
        return 0
    except BaseException as error:
        fail(failure, error)
        return 1


cdef int set_elements(void *handle, int n_types, const char *const *elements, int *species,
                      lammps_mace_failure *failure) noexcept with gil:
    try:
        names = [None if elements[i] == NULL else text_of(elements[i]) for i in range(n_types)]
        found = list((<object> handle).set_elements(names))
        if len(found) != n_types:
            raise ValueError(f"set_elements returned {len(found)} species for {n_types} atom types")
        for index in range(n_types):
            species[index] = found[index]
        return 0
    except BaseException as error:
        fail(failure, error)
        return 1


cdef int compute(void *handle, lammps_mace_step *raw, lammps_mace_failure *failure) noexcept with gil:
    cdef Step step = None
    try:
        step = Step.wrap(raw)
        raw.energy = (<object> handle).compute(step)
        return 0
    except BaseException as error:
        fail(failure, error)
        return 1
    finally:
        if step is not None:
            step.raw = NULL


cdef int report(void *handle, int stuck, char **text, lammps_mace_failure *failure) noexcept with gil:
    try:
        give_text((<object> handle).report(bool(stuck)), text)
        return 0
    except BaseException as error:
        fail(failure, error)
        return 1


cdef int device_map(void *handle, char **text, lammps_mace_failure *failure) noexcept with gil:
    try:
        give_text((<object> handle).device_map(), text)
        return 0
    except BaseException as error:
        fail(failure, error)
        return 1


cdef void destroy(void *handle) noexcept with gil:
    Py_DECREF(<object> handle)


cdef lammps_mace_bridge table
table.abi = LAMMPS_MACE_BRIDGE_ABI
table.create = create
table.find = find
table.identify = identify
table.describe = describe
table.set_elements = set_elements
table.compute = compute
table.report = report
table.device_map = device_map
table.destroy = destroy
_table = PyCapsule_New(&table, "lammps_mace._bridge._table", NULL)
