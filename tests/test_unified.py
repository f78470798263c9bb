"""Route C: a stand-in with the semantics of ML-IAP's KOKKOS data object, several ranks at once.

The ranks are threads. What is exchanged goes through bare addresses, as in LAMMPS's Cython file.
"""

import ctypes
import threading
from dataclasses import dataclass

import numpy as np
import pytest
from small import CUTOFF, energy_and_gradient, make_model, make_structure, write_model

from lammps_mace.modelfile import read_stub

EXACT = 1e-11


class Ranks:
    """What the ranks of one simulation share."""

    def __init__(self, n: int, works: bool = True) -> None:
        self.works, self.barrier = works, threading.Barrier(n)
        self.rows: dict[int, np.ndarray] = {}


@dataclass(eq=False)
class KokkosData:
    """One rank's data object; own rows first, then ghosts with their owners (rank, row)."""

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
        self._eatoms = np.full(self.nlistatoms, np.nan)
        self.total = None

    @property
    def eatoms(self):  # a view; there is no setter
        return self._eatoms

    @property
    def numneighs(self):
        raise AssertionError("numneighs has the wrong type and must not be used")

    energy = property(fset=lambda self, value: setattr(self, "total", float(value)))

    def update_pair_forces(self, fij):
        assert memoryview(fij).format == "d"
        assert memoryview(fij).c_contiguous
        np.add.at(self.f, self.pair_i, fij)
        np.subtract.at(self.f, self.pair_j, fij)

    def forward_exchange(self, copy_from, copy_to, width):
        rows = self._copied(copy_from, copy_to, width)
        self._publish(rows)
        if not self.ranks.works:
            rows[self.nlocal :] = 0
        else:
            for ghost, (rank, row) in enumerate(self.owners, start=self.nlocal):
                rows[ghost] = self.ranks.rows[rank][row]
        self.ranks.barrier.wait()

    def reverse_exchange(self, copy_from, copy_to, width):
        rows = self._copied(copy_from, copy_to, width)
        given = rows.copy()
        self._publish(given)
        for other in range(len(self.ranks.rows)):
            for ghost, (rank, row) in enumerate(SYSTEM[other].owners, SYSTEM[other].nlocal):
                if rank == self.rank:
                    rows[row] += self.ranks.rows[other][ghost]
        rows[self.nlocal :] = 0
        self.ranks.barrier.wait()

    def _copied(self, copy_from, copy_to, width):
        if copy_from.dtype != copy_to.dtype:
            raise TypeError("mismatch")
        kind = {np.dtype("f4"): ctypes.c_float, np.dtype("f8"): ctypes.c_double}[copy_from.dtype]
        size = self.ntotal * width
        given = np.ctypeslib.as_array((kind * size).from_address(copy_from.data.ptr))
        out = np.ctypeslib.as_array((kind * size).from_address(copy_to.data.ptr))
        out[:] = given
        return out.reshape(self.ntotal, width)

    def _publish(self, rows):
        self.ranks.barrier.wait()
        self.ranks.rows[self.rank] = rows.copy()
        self.ranks.barrier.wait()


SYSTEM: list[KokkosData] = []  # of the running test


def distribute(structure, n_ranks, works=True):
    """Give each atom to a rank at random; everything else a rank sees is a ghost.

    One more own atom on each rank is not part of the model (element -1, not in the list).
    """
    rng = np.random.default_rng(3)
    home = rng.integers(0, n_ranks, len(structure.species))
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


def run_step(path):
    """Let every rank load the model and compute one step, as ML-IAP does."""
    failures = []

    def one(data):
        try:
            model = read_stub(path.read_bytes(), str(path))
            model.interface = object()
            assert 2 * model.rcutfac == CUTOFF
            assert model.element_types == ["O", "Si"]
            assert model.ndescriptors == model.nparams == 1
            model.compute_descriptors(data)
            model.compute_gradients(data)
            model.compute_forces(data)
        except BaseException as error:
            failures.append(error)
            data.ranks.barrier.abort()

    threads = [threading.Thread(target=one, args=(data,)) for data in SYSTEM]
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
    energies = [dict(zip(data.iatoms.tolist(), data.eatoms, strict=True)) for data in SYSTEM]
    n = range(len(home))
    return (
        np.array([SYSTEM[home[i]].f[rows[i, home[i]]] for i in n]),
        np.array([energies[home[i]][rows[i, home[i]]] for i in n]),
    )


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setattr("lammps_mace.coupling.unified._communicator", lambda lammps: None)


@pytest.mark.parametrize(("n_ranks", "layers", "dtype"), [(1, 2, "float64"), (3, 3, "float64")])
def test_kokkos_exchange(tmp_path, n_ranks, layers, dtype):
    model, structure = make_model(dtype, num_layers=layers), make_structure()
    write_model(tmp_path / "x.model", model)
    home, rows = distribute(structure, n_ranks)
    run_step(tmp_path / "x.model")
    forces, energies = gathered(home, rows)
    energy, expected = truth(model, structure)
    assert sum(data.total for data in SYSTEM) == pytest.approx(energy, rel=EXACT)
    assert energies.sum() == pytest.approx(energy, rel=EXACT)
    assert np.abs(forces - expected).max() < EXACT * np.abs(expected).max()


def truth(model, structure):
    """Return energy and forces of the network."""
    energy, gradient = energy_and_gradient(model, structure)
    forces = np.zeros_like(structure.positions)
    np.add.at(forces, structure.centres, gradient)
    np.subtract.at(forces, structure.neighbours, gradient)
    return energy, forces


def test_without_exchange_the_answer_is_another(tmp_path):
    model, structure = make_model(), make_structure()
    write_model(tmp_path / "x.model", model)
    home, rows = distribute(structure, 2, works=False)
    run_step(tmp_path / "x.model")
    _, expected = truth(model, structure)
    wrong = np.abs(gathered(home, rows)[0] - expected).max()
    assert wrong > 1e3 * EXACT * np.abs(expected).max()


def test_a_stub_is_no_model_before_ml_iap_connects_it(tmp_path):
    path = write_model(tmp_path / "x.model", make_model())
    stub = read_stub(path.read_bytes(), str(path))
    with pytest.raises(AttributeError, match="no attribute 'element_types'"):
        _ = stub.element_types
