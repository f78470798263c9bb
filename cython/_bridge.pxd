# Declares the C interface of bridge.h for _bridge.pyx.
from libc.stdint cimport int32_t, int64_t


cdef extern from "bridge.h":
    enum:
        LAMMPS_MACE_BRIDGE_ABI

    ctypedef struct lammps_mace_failure:
        char reason[8192]
        char traceback[32768]

    ctypedef struct lammps_mace_charges:
        int predicted
        int write
        int total
        double cutoff
        double constant
        double damping

    ctypedef struct lammps_mace_rows:
        void *first
        int64_t width
        int item_bytes
        const int32_t *row_index

    ctypedef const char *(*lammps_mace_exchange)(
        void *exchanger, int reverse, const lammps_mace_rows *rows
    ) noexcept nogil
    ctypedef const char *(*lammps_mace_sum)(void *exchanger, double *values, int count) noexcept nogil
    ctypedef const char *(*lammps_mace_charge)(
        void *exchanger, const double *charges, double *potentials
    ) noexcept nogil
    ctypedef void (*lammps_mace_log)(void *exchanger, const char *line) noexcept nogil

    ctypedef struct lammps_mace_list:
        int64_t number
        int64_t n_atoms
        int64_t n_listed
        int64_t n_sent
        const int32_t *rows
        const int64_t *offsets
        const int32_t *neighbours
        const int32_t *sent
        const double *positions
        int wants_virials
        double *forces
        double *virials
        double virial[6]
        int64_t n_close
        int64_t coincident
        int64_t rowless

    ctypedef struct lammps_mace_step:
        int64_t n_local
        int64_t n_total
        int64_t n_pairs
        int64_t number
        int one_domain
        const int32_t *species
        const int64_t *tags
        const int64_t *offsets
        const int32_t *senders
        const double *vectors
        double *node_energies
        double *pair_gradient
        int wants_centroid
        const double *positions
        double *centroid_virial
        double energy
        void *exchanger
        lammps_mace_exchange exchange
        lammps_mace_sum sum
        lammps_mace_charge charge
        lammps_mace_log log
        lammps_mace_list *list

    ctypedef struct lammps_mace_bridge:
        int abi
        void *(*create)(const char *, int, int, const char *, lammps_mace_failure *) noexcept
        int (*find)(const char *, const char *, const char *, char **, lammps_mace_failure *) noexcept
        int (*identify)(void *, char **, lammps_mace_failure *) noexcept
        int (*describe)(
            void *, int *, double *, double *, int *, double *, int *, int **, lammps_mace_charges *,
            lammps_mace_failure *
        ) noexcept
        int (*set_elements)(void *, int, const char *const *, int *, lammps_mace_failure *) noexcept
        int (*compute)(void *, lammps_mace_step *, lammps_mace_failure *) noexcept
        int (*report)(void *, int, char **, lammps_mace_failure *) noexcept
        int (*device_map)(void *, char **, lammps_mace_failure *) noexcept
        void (*destroy)(void *) noexcept


cdef class StepList:
    cdef lammps_mace_list *raw
    cdef readonly object rows
    cdef readonly object offsets
    cdef readonly object neighbours
    cdef readonly object sent
    cdef readonly object positions
    cdef readonly object forces
    cdef readonly object virials
    @staticmethod
    cdef StepList wrap(lammps_mace_list *raw, int64_t n_local, int64_t n_total)
    cdef lammps_mace_list *live(self) except NULL


cdef class Step:
    cdef lammps_mace_step *raw
    cdef readonly object species
    cdef readonly object offsets
    cdef readonly object senders
    cdef readonly object vectors
    cdef readonly object node_energies
    cdef readonly object pair_gradient
    cdef readonly object positions
    cdef readonly object centroid_virial
    cdef readonly StepList list
    @staticmethod
    cdef Step wrap(lammps_mace_step *raw)
    cdef lammps_mace_step *live(self) except NULL
    cdef exchange(self, object rows, object row_index, int reverse)
    cdef const int32_t *checked(self, const int32_t[::1] row_index, int64_t n_rows) except NULL
