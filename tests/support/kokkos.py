"""A stand-in with the semantics of ML-IAP's KOKKOS data object, several ranks at once.

The ranks are threads. What is exchanged goes through bare addresses, as in LAMMPS's Cython file.
With KOKKOS on a GPU arrays are CuPy's; the stand-in for them never becomes a NumPy array unasked.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import numpy as np
from small import CUTOFF

from lammps_mace.modelfile import read_stub
from lammps_mace.runtime.placement import Rank


class GpuArray(np.lib.mixins.NDArrayOperatorsMixin):
    """What a model may do with a CuPy array on GPU 1 of a machine; anything else fails.

    What KOKKOS does with such memory is done once somebody waits for the device.
    """

    class Device(contextlib.nullcontext):
        id = 1
        waiting = threading.local()  # what each rank's device has not done yet
        copied: list[int] = []  # noqa: RUF012  sizes of arrays that were copied to the host

        @classmethod
        def later(cls, action):
            cls.waiting.actions = [*getattr(cls.waiting, "actions", ()), action]

        @classmethod
        def synchronize(cls):
            actions, cls.waiting.actions = getattr(cls.waiting, "actions", ()), []
            for action in actions:
                action()

    device = Device()

    def __init__(self, memory: np.ndarray) -> None:
        self._memory = memory
        self.dtype, self.shape = memory.dtype, memory.shape
        if memory.ndim:
            self.data = SimpleNamespace(ptr=memory.ctypes.data)

    def __array__(self, *arguments, **options):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")  # as CuPy

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        assert not options
        plain = [x._memory if isinstance(x, GpuArray) else x for x in inputs]
        return GpuArray(getattr(ufunc, method)(*plain))

    def __len__(self):
        return len(self._memory)

    def __bool__(self):
        return bool(self._memory)

    def __getitem__(self, key):
        assert isinstance(key, slice)
        return GpuArray(self._memory[key])

    def __setitem__(self, key, value):
        assert isinstance(value, GpuArray)
        self._memory[key] = value._memory

    def __dlpack__(self, **options):
        return self._memory.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._memory.__dlpack_device__()

    def all(self):
        return GpuArray(self._memory.all())

    def any(self):
        return GpuArray(self._memory.any())

    def sum(self, axis):
        return GpuArray(self._memory.sum(axis=axis))

    def get(self):
        self.Device.synchronize()
        self.Device.copied.append(self._memory.size)
        return self._memory.copy()

    def copy(self):
        return GpuArray(self._memory.copy())


def on_gpu(monkeypatch):
    """Put the arrays of the next system on a GPU; ``import cupy`` gives the stand-in."""
    cupy = ModuleType("cupy")
    cupy.asarray = lambda array: GpuArray(np.array(array))
    cupy.zeros = lambda shape, dtype: GpuArray(np.zeros(shape, dtype))
    cupy.bincount = lambda x, minlength: GpuArray(np.bincount(x._memory, minlength=minlength))
    cupy.from_dlpack = lambda array: GpuArray(np.from_dlpack(array))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(KokkosData, "gpu", True)
    GpuArray.Device.copied.clear()


class Ranks:
    """What the ranks of one simulation share."""

    def __init__(self, n: int, works: bool = True) -> None:
        self.works, self.barrier = works, threading.Barrier(n)
        self.rows: dict[int, np.ndarray] = {}
        self.values: dict[int, int] = {}


@dataclass(eq=False)
class KokkosData:
    """One rank's data object; own rows first, then ghosts with their owners (rank, row)."""

    gpu = False  # of all objects: where arrays are

    ranks: Ranks
    rank: int
    iatoms: np.ndarray  # the neighbour list's atoms: fewer than own atoms
    elems: np.ndarray
    owners: list
    pair_i: np.ndarray
    pair_j: np.ndarray
    rij: np.ndarray

    def __post_init__(self):
        self.nlocal, self.ntotal = len(self.elems) - len(self.owners), len(self.elems)
        self.nlistatoms = self.natomneigh = len(self.iatoms)
        self.npairs = len(self.pair_i)
        self.f = np.zeros((self.ntotal, 3))
        self.energies = np.full(self.nlistatoms, np.nan)
        self.total = None
        self.listed = self.iatoms.tolist()
        self.given = np.zeros((self.npairs, 3))
        self.rows, self.partners = self.pair_i, self.pair_j
        if self.gpu:
            for name in ("iatoms", "elems", "pair_i", "pair_j", "rij"):
                setattr(self, name, GpuArray(getattr(self, name)))

    @property
    def eatoms(self):  # a view; there is no setter
        return GpuArray(self.energies) if self.gpu else self.energies

    @property
    def numneighs(self):
        raise AssertionError("numneighs has the wrong type and must not be used")

    energy = property(fset=lambda self, value: setattr(self, "total", float(value)))

    def update_pair_forces(self, fij):
        if self.gpu:  # a bare address: nothing is checked there
            assert fij.dtype == np.float64
            pairs = (ctypes.c_double * 3) * self.npairs
            forces = np.ctypeslib.as_array(pairs.from_address(fij.data.ptr))
            GpuArray.Device.later(lambda: self._add_forces(forces))
        else:
            assert memoryview(fij).format == "d"
            assert memoryview(fij).c_contiguous
            self._add_forces(fij)

    def _add_forces(self, forces):
        self.given = forces.copy()
        np.add.at(self.f, self.rows, forces)
        np.subtract.at(self.f, self.partners, forces)

    def forward_exchange(self, copy_from, copy_to, width):
        rows, finish = self._copied(copy_from, copy_to, width)
        self._publish(rows)
        if not self.ranks.works:
            rows[self.nlocal :] = 0
        else:
            for ghost, (rank, row) in enumerate(self.owners, start=self.nlocal):
                rows[ghost] = self.ranks.rows[rank][row]
        finish()
        self.ranks.barrier.wait()

    def reverse_exchange(self, copy_from, copy_to, width):
        rows, finish = self._copied(copy_from, copy_to, width)
        given = rows.copy()
        self._publish(given)
        for other in range(len(self.ranks.rows)):
            for ghost, (rank, row) in enumerate(SYSTEM[other].owners, SYSTEM[other].nlocal):
                if rank == self.rank:
                    rows[row] += self.ranks.rows[other][ghost]
        rows[self.nlocal :] = 0
        finish()
        self.ranks.barrier.wait()

    def _copied(self, copy_from, copy_to, width):
        if copy_from.dtype != copy_to.dtype:
            raise TypeError("mismatch")
        kind = {np.dtype("f4"): ctypes.c_float, np.dtype("f8"): ctypes.c_double}[copy_from.dtype]
        size = self.ntotal * width
        given = np.ctypeslib.as_array((kind * size).from_address(copy_from.data.ptr))
        out = np.ctypeslib.as_array((kind * size).from_address(copy_to.data.ptr))
        rows = given.copy()

        def finish():
            if self.gpu:
                GpuArray.Device.later(lambda: np.copyto(out, rows))
            else:
                out[:] = rows

        return rows.reshape(self.ntotal, width), finish

    def _publish(self, rows):
        self.ranks.barrier.wait()
        self.ranks.rows[self.rank] = rows.copy()
        self.ranks.barrier.wait()


SYSTEM: list[KokkosData] = []  # of the running test


def distribute(structure, n_ranks, works=True, empty=0):
    """Give each atom to a rank at random; everything else a rank sees is a ghost.

    One more own atom on each rank is not part of the model (element -1, not in the list). The
    last ``empty`` ranks have nothing else.
    """
    rng = np.random.default_rng(3)
    home = rng.integers(0, n_ranks - empty, len(structure.species))
    shifts = structure.vectors - structure.positions[structure.neighbours]
    shifts = np.round(shifts + structure.positions[structure.centres], 6)
    ranks = Ranks(n_ranks, works)
    rows = {}
    for rank in range(n_ranks):
        own = rng.permutation(np.flatnonzero(home == rank))
        rows |= {(atom, rank): row + 1 for row, atom in enumerate(own)}  # row 0 is the stranger
    SYSTEM[:] = [_data(structure, ranks, rank, home, rows, shifts) for rank in range(n_ranks)]
    return home, rows


def _data(structure, ranks, rank, home, rows, shifts):
    own = sorted((row, atom) for (atom, r), row in rows.items() if r == rank)
    n_local = len(own) + 1
    elements = [-1, *(structure.species[atom] for _, atom in own)]
    ghosts, pairs = {}, []
    for k in np.random.default_rng(rank).permutation(len(structure.centres)):
        i, j = structure.centres[k], structure.neighbours[k]
        if home[i] != rank:
            continue
        image = (j, *shifts[k])
        if home[j] == rank and not shifts[k].any():
            row = rows[j, rank]
        else:
            row = ghosts.setdefault(image, n_local + len(ghosts))
        pairs.append((rows[i, rank], row, structure.vectors[k]))
    owners = [(home[image[0]], rows[image[0], home[image[0]]]) for image in ghosts]
    elements += [structure.species[image[0]] for image in ghosts]
    centres, neighbours, vectors = zip(*pairs, strict=True) if pairs else ((), (), ())
    return KokkosData(
        ranks, rank, np.array([row for row, _ in own], np.int32), np.array(elements, np.int32),
        owners, np.array(centres, np.int32), np.array(neighbours, np.int32),
        np.array(vectors).reshape(-1, 3),
    )  # fmt: skip


def run_step(path, cutoff=CUTOFF):
    """Let every rank load the model and compute one step, as ML-IAP does; return the models."""
    models = {}

    def one(data):
        model = models[data.rank] = loaded(path)
        assert 2 * model.rcutfac == cutoff
        assert model.element_types == ["O", "Si"]
        assert model.ndescriptors == model.nparams == 1
        model.compute_descriptors(data)
        model.compute_gradients(data)
        model.compute_forces(data)

    on_every_rank(one)
    return models


def loaded(path):
    """Return the model as ML-IAP has it."""
    model = read_stub(path.read_bytes(), str(path))
    model.interface = object()
    return model


def on_every_rank(action):
    """Call action(data) on all ranks at once; raise the first failure."""
    failures = []

    def one(data):
        try:
            action(data)
        except BaseException as error:
            failures.append(error)
            data.ranks.barrier.abort()

    threads = [threading.Thread(target=one, args=(d,), name=str(d.rank)) for d in SYSTEM]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def gathered(home, rows):
    """Return forces and energies by atom: ghosts' forces go to their owners."""
    for data in SYSTEM:
        for ghost, (rank, row) in enumerate(data.owners, start=data.nlocal):
            SYSTEM[rank].f[row] += data.f[ghost]
    energies = [dict(zip(data.listed, data.energies, strict=True)) for data in SYSTEM]
    n = range(len(home))
    return (
        np.array([SYSTEM[home[i]].f[rows[i, home[i]]] for i in n]),
        np.array([energies[home[i]][rows[i, home[i]]] for i in n]),
    )


class Communicator:
    """What is used of mpi4py's, for the ranks of the running test."""

    def __init__(self, data):
        self._ranks, self._rank = data.ranks, data.rank

    def Allreduce(self, _, values, operation):  # noqa: N802
        values[:] = operation.reduce(self._all(values.copy()))

    def allreduce(self, value):
        return sum(self._all(value))

    def _all(self, value):
        self._ranks.values[self._rank] = value
        self._ranks.barrier.wait()
        found = [self._ranks.values[rank] for rank in range(len(SYSTEM))]
        self._ranks.barrier.wait()
        return found

    def Abort(self, code):  # noqa: N802
        self._ranks.barrier.abort()


def with_mpi(monkeypatch):
    """Give the ranks a communicator."""

    def find_rank(_):
        data = SYSTEM[int(threading.current_thread().name)]
        return Rank(data.rank, len(SYSTEM)), Communicator(data)

    package = ModuleType("mpi4py")
    package.MPI = SimpleNamespace(IN_PLACE=None, MIN=np.minimum, SUM=np.add)
    monkeypatch.setitem(sys.modules, "mpi4py", package)
    monkeypatch.setattr("lammps_mace.coupling.mliap.model.find_rank", find_rank)
