"""The plain evaluation: pairs of any cell, derivatives, refusals, and bitwise repetition."""

import subprocess
import sys

import ase
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity import SHAPES, _apart
from small import make_model, write_model

from lammps_mace import evaluate
from lammps_mace.evaluation import Evaluator, find_pairs
from lammps_mace.models.mlip.charges import damped_inverse
from lammps_mace.models.mlip.interaction import EdgeInputs, sum_by_receiver

EXACT = 1e-12  # Å; the same sums of the same coordinates
NUMERICAL = 1e-6  # central differences of a float64 energy, relative


def structure(shape, seed=0):
    rng = np.random.default_rng(seed)
    cell, periodic, n = SHAPES[shape]
    positions = _apart(rng, np.array(cell), n)
    return ase.Atoms(rng.choice([8, 14], n), positions, cell=cell, pbc=periodic)


def all_pairs(atoms, cutoff):
    """Return sorted rows (receiver, sender, vector) by trying every image."""
    reach = [range(-6, 7) if periodic else (0,) for periodic in atoms.pbc]
    shifts = np.stack(np.meshgrid(*reach, indexing="ij"), -1).reshape(-1, 3) @ np.array(atoms.cell)
    x = atoms.positions
    vectors = x[:, None, None] - x[None, :, None] + shifts
    length = np.linalg.norm(vectors, axis=-1)
    receiver, sender, image = np.nonzero((length < cutoff) & (length > 1e-9))
    return sorted_rows(receiver, sender, vectors[receiver, sender, image])


def sorted_rows(receiver, sender, vectors):
    rows = np.column_stack([receiver, sender, vectors])
    return rows[np.lexsort(np.round(rows, 9).T[::-1])]


@pytest.mark.parametrize("periodic", [True, False, (True, False, True), (False, False, True)])
@pytest.mark.parametrize("shape", SHAPES)
def test_pairs_of_any_cell(shape, periodic):
    atoms = structure(shape)
    atoms.pbc = periodic
    atoms.positions += 7.3 * np.array(atoms.cell)[0]  # far outside the cell
    pairs = find_pairs(atoms, 4.3)
    expected = all_pairs(atoms, 4.3)
    found = sorted_rows(pairs.receivers, pairs.senders, pairs.vectors)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=100 * EXACT)
    assert (np.diff(pairs.receivers) >= 0).all()


def test_pairs_without_a_cell():
    atoms = ase.Atoms("Si3", positions=[[0, 0, 0], [2, 0, 0], [0, 0, 9]])
    pairs = find_pairs(atoms, 4.0)
    assert sorted(zip(pairs.senders, pairs.receivers, strict=True)) == [(0, 1), (1, 0)]
    np.testing.assert_allclose(pairs.vectors[pairs.receivers == 1], [[2.0, 0.0, 0.0]])


def test_one_atom_alone():
    result = evaluate(make_model(), ase.Atoms("Si", positions=[[1.0, 2.0, 3.0]]))
    assert np.isfinite(result.energy)
    np.testing.assert_array_equal(result.forces, 0.0)
    assert result.stress is None
    assert result.charges is None


COULOMB = {"total_charge_set": [-1, 0], "long_range_cutoff_angstrom": 6.0}


@pytest.mark.parametrize("coulomb", [False, True])
@pytest.mark.parametrize("shape", ["rotated", "slab"])
def test_forces_and_virial_are_derivatives(shape, coulomb):
    charge = -1 if coulomb else None
    model = make_model(info=COULOMB, use_coulomb_term=coulomb, total_charge=charge)
    evaluator, atoms, h = Evaluator(model), structure(shape), 1e-4

    def energy_at(positions, cell):
        moved = atoms.copy()
        moved.set_cell(cell)
        moved.positions = positions
        return evaluator.evaluate(moved).energy

    result = evaluator.evaluate(atoms)
    x, cell = atoms.positions, np.array(atoms.cell)
    step = np.zeros_like(x)
    step[1, 2] = h
    force = -(energy_at(x + step, cell) - energy_at(x - step, cell)) / (2 * h)
    assert force == pytest.approx(result.forces[1, 2], rel=NUMERICAL, abs=NUMERICAL)
    strain = np.zeros((3, 3))
    strain[0, 1] = strain[1, 0] = h / 2
    plus, minus = np.eye(3) + strain, np.eye(3) - strain
    slope = (energy_at(x @ plus, cell @ plus) - energy_at(x @ minus, cell @ minus)) / (2 * h)
    assert slope == pytest.approx(-result.virial[0, 1], rel=NUMERICAL, abs=NUMERICAL)


def test_stress_has_the_sign_of_ase():
    result = evaluate(make_model(), atoms := structure("triclinic"))
    np.testing.assert_allclose(result.stress, -result.virial / atoms.get_volume())


def test_energy_is_the_sum_of_the_atoms_and_charges_of_the_total():
    model = make_model(info=COULOMB, use_coulomb_term=True, total_charge=-1)
    result = evaluate(model, structure("molecule"))
    assert result.energy == pytest.approx(result.energies.sum(), rel=1e-14)
    assert result.charges.sum() == pytest.approx(-1.0, abs=1e-12)
    assert np.ptp(result.charges) > 1e-3


def test_coulomb_energy_of_two_charges():
    # Beyond 5 Å the damping is gone: 14.3996 eV Å / r.
    np.testing.assert_allclose(damped_inverse(jnp.array([5.0, 8.0])), [0.2, 0.125])
    assert damped_inverse(jnp.array([0.0]))[0] == 1.0
    assert np.isfinite(jax.grad(lambda r: damped_inverse(r)[0])(jnp.array([0.0]))).all()


def test_path_and_float64(tmp_path):
    model = make_model()
    atoms = structure("orthogonal")
    given = evaluate(model, atoms)
    read = evaluate(str(write_model(tmp_path / "x.model", model)), atoms)
    assert read.energy == given.energy
    assert read.forces.dtype == np.float64


def test_works_without_64_bit_types_of_jax():
    atoms, model = structure("triclinic"), make_model()
    with jax.enable_x64(False):
        inside = evaluate(model, atoms)
    assert inside.energy == evaluate(model, atoms).energy


def test_float32_does_not_lose_large_atomic_energies():
    info = {"atomic_energies_map": {8: -2041.123456789, 14: -7872.987654321}}
    single, double = (make_model(dtype, info=info) for dtype in ("float32", "float64"))
    atoms = structure("orthogonal")
    difference = evaluate(single, atoms).energies - evaluate(double, atoms).energies
    assert np.abs(difference).max() < 1e-5


def test_element_that_is_not_known():
    with pytest.raises(ValueError, match="does not know the elements Au; it knows O Si"):
        evaluate(make_model(), ase.Atoms("SiAu", positions=[[0, 0, 0], [2, 0, 0]]))


def test_periodic_direction_without_a_cell_vector():
    atoms = ase.Atoms("Si", positions=[[0, 0, 0]], cell=[5, 5, 0], pbc=True)
    with pytest.raises(ValueError, match="a periodic cell vector is zero"):
        evaluate(make_model(), atoms)


def test_coulomb_needs_a_cutoff():
    model = make_model(use_coulomb_term=True, info={"total_charge_set": [0]})
    with pytest.raises(ValueError, match="long_range_cutoff_angstrom is None"):
        evaluate(model, structure("molecule"))


def test_coulomb_needs_a_charge():
    model = make_model(use_coulomb_term=True, info=COULOMB)
    with pytest.raises(ValueError, match="needs globals.charge"):
        evaluate(model, structure("molecule"))


def test_import_is_light():
    code = "import lammps_mace.evaluation, sys; sys.exit('ase' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_name_is_the_function_also_after_the_import():
    import lammps_mace
    import lammps_mace.evaluation

    assert callable(lammps_mace.evaluate)


def sums(deterministic, jit=True):
    rng = np.random.default_rng(0)
    messages = jnp.asarray(rng.normal(size=(200, 3, 5)), jnp.float32)
    receivers = jnp.asarray(np.sort(rng.integers(0, 17, 200)), jnp.int32)
    mask = jnp.asarray(rng.random(200) < 0.9)
    edges = EdgeInputs(None, None, receivers, mask)
    function = jax.jit(lambda m: sum_by_receiver(m, edges, 18, deterministic))
    return function(messages)


def test_deterministic_sums_are_the_same_sums():
    np.testing.assert_allclose(sums(True), sums(False), atol=1e-5)
    np.testing.assert_array_equal(sums(True), sums(True))


def test_deterministic_sums_are_not_scatters():
    # What is unordered on a GPU is a scatter: there must be none.
    edges = EdgeInputs(None, None, jnp.zeros(4, jnp.int32), None)

    def text(deterministic):
        function = jax.jit(lambda m: sum_by_receiver(m, edges, 3, deterministic))
        return function.lower(jnp.ones((4, 2))).as_text()

    assert "scatter" in text(False)
    assert "scatter" not in text(True)


@pytest.mark.parametrize("messages", ["clebsch", "gaunt"])
def test_the_option_reaches_the_sums(messages):
    gaunt = messages == "gaunt"

    def scatters(deterministic):
        model = make_model(
            deterministic_scatter_ops=deterministic, use_gaunt_tp_message_passing=gaunt
        )
        evaluator = Evaluator(model)
        near, far = evaluator._pairs(structure("molecule"))
        graph = evaluator._graph(np.zeros(7, np.int32), near, far)
        lowered = jax.jit(evaluator._energy).lower(model.params, near.vectors, far.vectors, graph)
        return lowered.as_text().count("stablehlo.scatter")

    assert scatters(True) == 0
    assert scatters(False) > 0


def test_bitwise_equal_from_process_to_process(tmp_path):
    model = write_model(tmp_path / "x.model", make_model("float32", deterministic_scatter_ops=True))
    code = (
        "import ase, lammps_mace\n"
        "atoms = ase.Atoms('SiOSi', positions=[[0, 0, 0], [1.6, 0.3, 0], [0.2, 2.1, 1.0]])\n"
        f"result = lammps_mace.evaluate({str(model)!r}, atoms)\n"
        "print(result.energy.hex(), result.forces.tobytes().hex())"
    )
    run = [sys.executable, "-c", code]
    outputs = {subprocess.run(run, capture_output=True, check=True).stdout for _ in range(2)}
    assert len(outputs) == 1
