"""What the LAMMPS plugin calls in Python: a table of C functions that hold the GIL and never raise."""

import os
import traceback

from lammps_mace.errors import UnusableFileError

from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdlib cimport malloc
from libc.string cimport memcpy, strcpy


cdef str text_of(const char *given):
    """What LAMMPS or the plugin wrote: bytes that need not be UTF-8, whatever the locale."""
    return (<bytes> given).decode("utf-8", "replace")


include "_step.pxi"


cdef void *allocated(size_t n_bytes) except NULL:
    """Memory that the plugin frees."""
    cdef void *memory = malloc(n_bytes)
    if memory == NULL:
        raise MemoryError(f"no memory for {n_bytes} bytes")
    return memory


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


cdef void *create(const char *path, int member, int comm, const char *units,
                  lammps_mace_failure *failure) noexcept with gil:
    try:
        from lammps_mace.coupling.plugin_potential import PluginPotential

        potential = PluginPotential(os.fsdecode(<bytes> path), comm, text_of(units), member)
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


cdef int describe(void *handle, int *n_members, double *cutoff, double *closest, int *keeps_list,
                  double *energy_per_ev, int *n_exchanges, int **row_bytes, lammps_mace_charges *charges,
                  lammps_mace_failure *failure) noexcept with gil:
    try:
        potential = <object> handle
        n_members[0] = potential.n_members
        widths = [int(width) for width in potential.exchange_row_bytes]
        cutoff[0] = potential.cutoff_angstrom
        closest[0] = getattr(potential, "closest_angstrom", 0.0)
        keeps_list[0] = getattr(potential, "device_path", False)
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
            if step.list is not None:
                step.list.raw = NULL


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
