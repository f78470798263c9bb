"""Route C: models in ML-IAP with KOKKOS, whose data object a stand-in replaces."""

import ctypes
import dataclasses
from types import SimpleNamespace

import ase
import jax
import numpy as np
import pytest
from kokkos import (
    SYSTEM,
    GpuArray,
    KokkosData,
    distribute,
    gathered,
    loaded,
    on_every_rank,
    on_gpu,
    run_step,
    with_mpi,
)
from small import (
    CUTOFF,
    ELEMENTS,
    energy_and_gradient,
    find_pairs,
    make_model,
    make_structure,
    write_model,
)

from lammps_mace.coupling.mliap import coulomb as coulomb_pairs
from lammps_mace.coupling.mliap.data import owner
from lammps_mace.coupling.mliap.exchange import KokkosExchange, prove_exchange
from lammps_mace.engine.device_pairs import sort_pairs, unsort_gradient
from lammps_mace.evaluation import Evaluator
from lammps_mace.modelfile import read_stub
from lammps_mace.models.coulomb import damped
from lammps_mace.models.mlip.charges import damped_inverse

EXACT = 1e-11


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setattr("lammps_mace.coupling.mliap.model.communicator", lambda lammps: None)


@pytest.fixture
def devices_taken(monkeypatch):
    """Let JAX's CPU stand for the GPU of the arrays; return what ranks have asked for."""
    taken = []
    monkeypatch.setattr(
        "lammps_mace.coupling.mliap.model.owner", lambda data, jax: taken.append(jax[0]) or jax[0]
    )
    return taken


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize(("n_ranks", "layers"), [(1, 2), (2, 2), (3, 3)])
def test_kokkos_exchange(tmp_path, monkeypatch, devices_taken, n_ranks, layers, gpu):
    if gpu:
        on_gpu(monkeypatch)
    model, structure = make_model(num_layers=layers), make_structure()
    write_model(tmp_path / "x.model", model)
    home, rows = distribute(structure, n_ranks)
    run_step(tmp_path / "x.model")
    assert len(devices_taken) == n_ranks
    forces, energies = gathered(home, rows)
    energy, expected = truth(model, structure)
    assert sum(data.total for data in SYSTEM) == pytest.approx(energy, rel=EXACT)
    assert energies.sum() == pytest.approx(energy, rel=EXACT)
    assert np.abs(forces - expected).max() < EXACT * np.abs(expected).max()
    if gpu:  # elements, the list's atoms and their numbers of pairs; no pairs and no features
        assert max(GpuArray.Device.copied) <= max(data.ntotal for data in SYSTEM)
        assert n_ranks > 2 or SYSTEM[0].npairs > max(data.ntotal for data in SYSTEM)


def test_the_stand_in_for_a_gpu_must_be_waited_for(monkeypatch):
    """The control: without it what KOKKOS does is missed."""
    on_gpu(monkeypatch)
    distribute(make_structure(), 1)
    [data] = SYSTEM
    rows = GpuArray(np.arange(data.ntotal, dtype=float)[:, None])
    exchange = KokkosExchange(data)
    assert not np.array_equal(exchange.forward_copy(rows).get(), rows.get())
    monkeypatch.setattr("lammps_mace.coupling.mliap.exchange.finish", lambda array: None)
    late = exchange.forward_copy(rows)
    assert np.array_equal(late._memory, rows._memory)
    assert not np.array_equal(late.get(), rows.get())  # get waits


@pytest.mark.parametrize("gpu", [False, True])
def test_two_atoms_in_one_place_are_refused(tmp_path, monkeypatch, devices_taken, gpu):
    if gpu:
        on_gpu(monkeypatch)
    write_model(tmp_path / "x.model", make_model())
    structure = make_structure()
    vectors = structure.vectors.copy()
    vectors[7] = 0.0
    distribute(dataclasses.replace(structure, vectors=vectors), 1)
    with pytest.raises(ValueError, match="two atoms are in the same place: remove one"):
        run_step(tmp_path / "x.model")


def test_steps_on_a_gpu_compile_nothing_new(tmp_path, monkeypatch, devices_taken):
    """Pairs come and go; shapes depend on capacities only."""
    on_gpu(monkeypatch)
    write_model(tmp_path / "x.model", make_model())
    structure = make_structure()
    distribute(structure, 1)
    [model] = run_step(tmp_path / "x.model").values()
    compiled = [f._cache_size() for f in (sort_pairs, unsort_gradient)]
    kept = np.random.default_rng(0).random(len(structure.centres)) < 0.9
    fewer = {name: getattr(structure, name)[kept] for name in ("centres", "neighbours", "vectors")}
    distribute(dataclasses.replace(structure, **fewer), 1)
    model.compute_forces(SYSTEM[0])
    assert [f._cache_size() for f in (sort_pairs, unsort_gradient)] == compiled
    assert SYSTEM[0].f.any()


def test_the_device_is_the_one_that_owns_the_arrays(monkeypatch):
    on_gpu(monkeypatch)
    distribute(make_structure(), 1)
    cpu = SimpleNamespace(platform="cpu", local_hardware_id=1)
    gpus = [SimpleNamespace(platform="gpu", local_hardware_id=i) for i in (0, 1, 2)]
    assert owner(SYSTEM[0], [cpu, *gpus]) is gpus[1]
    with pytest.raises(ValueError, match="arrays are on GPU 1, which JAX does not see: install"):
        owner(SYSTEM[0], [cpu, gpus[0]])
    with pytest.raises(TypeError, match="Implicit conversion"):  # the control of the stand-in
        np.asarray(SYSTEM[0].rij)


def test_arrays_on_the_host_have_no_gpu():
    distribute(make_structure(), 1)
    assert owner(SYSTEM[0], [SimpleNamespace(platform="gpu", local_hardware_id=0)]) is None


def prove(with_tags):
    """Let every rank check its exchange."""

    def total(data, value):
        data.ranks.values[data.rank] = value
        data.ranks.barrier.wait()
        result = sum(data.ranks.values.values())
        data.ranks.barrier.wait()
        return result

    def one(data):
        own = [1000 * data.rank + row + 1 for row in range(data.nlocal)]
        tags = np.array([*own, *(1000 * rank + row + 1 for rank, row in data.owners)])
        prove_exchange(data, tags if with_tags else None, lambda value: total(data, value))

    on_every_rank(one)


@pytest.mark.parametrize("gpu", [False, True])
def test_start_check(monkeypatch, gpu):
    if gpu:
        on_gpu(monkeypatch)
    distribute(make_structure(), 3)
    prove(with_tags=not gpu)


def test_start_check_sees_rows_that_do_not_arrive():
    distribute(make_structure(), 3, works=False)
    with pytest.raises(ValueError, match=r"moves rows wrongly between ranks \(forward: row \d+ of"):
        prove(with_tags=False)


def test_start_check_sees_a_row_of_another_atom(monkeypatch):
    distribute(make_structure(), 3)
    owners = SYSTEM[1].owners
    other = next(k for k, owner in enumerate(owners) if owner != owners[0])
    swapped = [owners[other], *owners[1:]]
    forward = KokkosData.forward_exchange

    def mistaken(self, *arguments):
        true, self.owners = self.owners, swapped if self.rank == 1 else self.owners
        forward(self, *arguments)
        self.owners = true

    monkeypatch.setattr(KokkosData, "forward_exchange", mistaken)
    with pytest.raises(ValueError, match="forward: row"):
        prove(with_tags=True)


def test_start_check_sees_rows_that_do_not_come_back(monkeypatch):
    distribute(make_structure(), 3)
    reverse = KokkosData.reverse_exchange

    def losing(self, copy_from, copy_to, width):
        reverse(self, copy_from, copy_to, width)
        if self.rank == 2:
            (ctypes.c_double * self.nlocal).from_address(copy_to.data.ptr)[1] += 1.0

    monkeypatch.setattr(KokkosData, "reverse_exchange", losing)
    with pytest.raises(ValueError, match=r"wrongly between ranks \(reverse\): use LAMMPS 11 Feb"):
        prove(with_tags=True)


@pytest.mark.parametrize(("version", "warned"), [(20251210, 1), (20260211, 0)])
def test_versions_whose_exchange_was_wrong(tmp_path, monkeypatch, version, warned):
    said = []
    lammps = SimpleNamespace(
        units="metal",
        step=0,
        special_bonds=False,
        exclusions=lambda: False,
        comm=None,
        version=version,
        warn=said.append,
    )
    monkeypatch.setattr("lammps_mace.coupling.mliap.model.find_lammps", lambda interface: lammps)
    write_model(tmp_path / "x.model", make_model(num_layers=1))
    distribute(make_structure(), 1)
    run_step(tmp_path / "x.model")
    assert [text for text in said if "use LAMMPS 11 Feb 2026 or newer" in text] == said
    assert len(said) == warned


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


@pytest.fixture
def _mpi(monkeypatch):
    with_mpi(monkeypatch)


CHARGED = 1e-9  # relative, float64: another way through the network, and global sums
CHARGES = {"use_coulomb_term": True, "use_total_charge_embedding": True}


def charged_model(long_range, write_charges=False, **config):
    info = {"total_charge_set": [-1, 0, 1], "long_range_cutoff_angstrom": long_range}
    model = make_model(info=info, total_charge=-1, **config)
    return dataclasses.replace(model, write_charges=write_charges)


def box(cutoff):
    """Return the structure with all pairs of a cutoff, and as ASE Atoms."""
    structure = make_structure()
    pairs = find_pairs(structure.positions, structure.cell, cutoff)
    names = ("centres", "neighbours", "vectors")
    structure = dataclasses.replace(structure, **dict(zip(names, pairs, strict=True)))
    numbers = np.array(list(ELEMENTS))[structure.species]
    return structure, ase.Atoms(numbers, structure.positions, cell=structure.cell, pbc=True)


@pytest.mark.usefixtures("_mpi")
@pytest.mark.parametrize(
    ("n_ranks", "long_range", "empty"), [(1, 7.0, 0), (2, 7.0, 0), (3, 3.0, 1)]
)
def test_charges(tmp_path, monkeypatch, n_ranks, long_range, empty):
    monkeypatch.setattr(coulomb_pairs, "BLOCK", 50)
    path = write_model(tmp_path / "x.model", charged_model(long_range, **CHARGES))
    cutoff = max(CUTOFF, long_range)
    structure, atoms = box(cutoff)
    home, rows = distribute(structure, n_ranks, empty=empty)
    models = run_step(path, cutoff)
    virial = -sum(data.rij.T @ data.given for data in SYSTEM)
    forces, energies = gathered(home, rows)
    expected = Evaluator(path).evaluate(atoms)
    scale = np.abs(expected.forces).max()
    assert sum(data.total for data in SYSTEM) == pytest.approx(expected.energy, rel=CHARGED)
    assert np.abs(energies - expected.energies).max() < CHARGED * np.abs(expected.energies).max()
    assert np.abs(forces - expected.forces).max() < CHARGED * scale
    assert np.abs(virial - expected.virial).max() < CHARGED * np.abs(expected.virial).max()

    # The control: every rank adds up what it has itself.
    monkeypatch.setattr(coulomb_pairs.CoulombExchange, "sum", lambda self, values: values)
    distribute(structure, n_ranks, empty=empty)
    on_every_rank(lambda data: models[data.rank].compute_forces(data))
    wrong = np.abs(gathered(home, rows)[0] - expected.forces).max()
    assert wrong < CHARGED * scale if n_ranks == 1 else wrong > 1e-4 * scale


def test_the_damped_inverse_and_its_slope():
    distances = np.array([0.3, 1.0, 2.5, 4.9, 5.0, 5.1, 8.0])
    inverse, slope = damped(distances**2, 5.0)
    expected, gradient = jax.vmap(jax.value_and_grad(damped_inverse))(distances)
    np.testing.assert_allclose(inverse, expected, rtol=1e-14)
    np.testing.assert_allclose(slope * distances, gradient, rtol=1e-12)


def test_charges_that_nobody_needs(tmp_path):
    path = write_model(tmp_path / "x.model", charged_model(7.0, predict_partial_charges=True))
    assert 2 * loaded(path).rcutfac == CUTOFF


def test_ml_iap_cannot_write_charges(tmp_path):
    model = charged_model(7.0, write_charges=True, predict_partial_charges=True)
    path = write_model(tmp_path / "x.model", model)
    with pytest.raises(ValueError, match="convert it without --write-charges, or compile the plug"):
        loaded(path)


def test_charges_need_an_exchange(tmp_path):
    model = loaded(write_model(tmp_path / "x.model", charged_model(7.0, **CHARGES)))
    with pytest.raises(ValueError, match="cannot exchange charges between ranks: compile the plug"):
        model.compute_forces(SimpleNamespace())


@pytest.mark.parametrize("kspace", [True, False])
def test_kspace_beside_a_coulomb_sum(tmp_path, monkeypatch, kspace):
    said = []
    lammps = SimpleNamespace(
        units="metal", step=0, special_bonds=False, exclusions=lambda: False, comm=None,
        version=20260704, kspace=kspace,
        warn=said.append,
    )  # fmt: skip
    monkeypatch.setattr("lammps_mace.coupling.mliap.model.find_lammps", lambda interface: lammps)
    model = loaded(write_model(tmp_path / "x.model", charged_model(7.0, **CHARGES)))
    distribute(make_structure(), 1)
    model.checks.check(SYSTEM[0])
    assert ["kspace_style must find no charges" in text for text in said] == [True] * kspace
