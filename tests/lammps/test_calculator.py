"""The calculator of ASE: against the plain evaluation, LAMMPS and differences; what it compiles."""

import ctypes
import gc
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import ase
import jax
import numpy as np
import pytest
import quick_xla
from ase.build import bulk
from ase.calculators.calculator import (
    CalculationFailed,
    PropertyNotImplementedError,
    all_changes,
)
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.stress import full_3x3_to_voigt_6_stress as voigt
from example_runs import EXAMPLES
from parity import SHAPES, _apart
from results import OUTPUT, results
from small import make_model, write_model

from lammps_mace import Calculator, evaluate, load_model
from lammps_mace.calculator.pair_list import PairList
from lammps_mace.cli.lammps_process import lammps_box, write_data
from lammps_mace.cli.lammps_process import run_lammps as run_structure
from lammps_mace.evaluation import find_pairs

EXACT = 1e-10  # eV, eV/Å, eV/Å^3: float64
NUMERICAL = 1e-6  # central differences
BAR = 1.6021765e6  # bar per eV/Å^3 in LAMMPS
COMPILED = "/jax/core/compile/backend_compile_duration"
GROWTH = 4e6  # bytes, in 200 calls


def structure(shape, seed=0):
    rng = np.random.default_rng(seed)
    cell, periodic, n = SHAPES[shape]
    positions = _apart(rng, np.array(cell), n)
    return ase.Atoms(rng.choice([8, 14], n), positions, cell=cell, pbc=periodic)


def crystal(n=2, seed=0):
    atoms = bulk("Si", cubic=True) * (n, n, n)
    atoms.rattle(0.1, seed=seed)
    return atoms


@pytest.fixture(scope="module")
def small():
    model = make_model(exact_radial=True)
    return model, Calculator(model)


def compared(atoms, calculator, truth):
    """Return the largest difference to an Evaluation or a LammpsResult."""
    atoms.calc = calculator
    found = {
        "energy": atoms.get_potential_energy(force_consistent=True),
        "energies": atoms.get_potential_energies(),
        "forces": atoms.get_forces(),
    }
    differences = [np.abs(value - getattr(truth, name)).max() for name, value in found.items()]
    stress = atoms.get_stress() + voigt(truth.virial) / atoms.get_volume()
    return max(*differences, np.abs(stress).max())


@pytest.mark.parametrize("shape", ["triclinic", "one atom", "slab", "molecule"])
def test_equals_the_plain_evaluation(small, shape):
    model, calculator = small
    atoms = structure(shape)
    plain = evaluate(model, atoms)
    assert compared(atoms, calculator, plain) < EXACT
    atoms.positions[0, 0] += 1e-6
    assert len(atoms) == 1 or compared(atoms, calculator, plain) > EXACT  # the control


def test_examples_equal_lammps(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", quick_xla.FLAGS)  # as this process compiles
    for path, atoms in (
        (EXAMPLES / "silicon" / "silicon.model", bulk("Si") * (1, 1, 2)),
        (EXAMPLES / "ionic" / "nacl.model", bulk("NaCl", "rocksalt", a=5.7)),
    ):
        model = replace(load_model(path), dtype="float64", write_charges=False)
        written = write_model(tmp_path / path.name, model)
        atoms.rattle(0.1, seed=1)
        calculator = Calculator(written)
        truth = run_structure(written, atoms, 1, tmp_path)
        assert compared(atoms, calculator, truth) < EXACT
        if path.stem == "silicon":
            single = Calculator(path)  # as the file says: float32
            assert EXACT < compared(atoms, single, truth) < 1e-4
        else:
            charges = evaluate(written, atoms).charges
            np.testing.assert_allclose(atoms.get_charges(), charges, atol=EXACT)


def test_stresses_of_atoms_are_those_of_lammps(run_lammps, tmp_path):
    model = make_model()
    path, atoms = write_model(tmp_path / "x.model", model), crystal()
    box = lammps_box(atoms.positions, np.array(atoms.cell), atoms.pbc)
    write_data(atoms, box, tmp_path)
    start = "units metal\nread_data start.data\npair_style mliap unified x.model 0\n"
    table, _ = results(run_lammps(start + "pair_coeff * * Si\n" + OUTPUT + "run 0\n"))
    expected = table[:, 4:7] / BAR
    atoms.calc = Calculator(path)
    stresses = atoms.get_stresses()
    scale = np.abs(expected).max()
    difference = stresses[:, :3] * atoms.get_volume() - expected
    assert np.abs(difference).max() < 1e-8 * scale
    np.testing.assert_allclose(stresses.sum(axis=0), atoms.get_stress(), atol=1e-14)


@pytest.mark.parametrize("shape", ["triclinic", "slab"])
def test_derivatives_by_ase(small, shape):
    atoms = structure(shape)
    atoms.calc = small[1]
    forces = calculate_numerical_forces(atoms, eps=1e-4, iatoms=[0, 2])
    np.testing.assert_allclose(atoms.get_forces()[[0, 2]], forces, rtol=NUMERICAL, atol=NUMERICAL)
    stress = calculate_numerical_stress(atoms, eps=1e-4)
    np.testing.assert_allclose(atoms.get_stress(), stress, rtol=NUMERICAL, atol=NUMERICAL)


def test_few_atoms_and_no_cell(small):
    model, calculator = small
    assert ase.Atoms(calculator=calculator).get_potential_energy() == 0.0
    one = ase.Atoms("Si", calculator=calculator)
    assert one.get_potential_energy() == pytest.approx(evaluate(model, one).energy, abs=EXACT)
    np.testing.assert_array_equal(one.get_forces(), 0.0)
    with pytest.raises(PropertyNotImplementedError):
        one.get_stress()


def test_charges_and_dipole():
    info = {"total_charge_set": [-1, 0], "long_range_cutoff_angstrom": 6.0}
    for total in (0, -1):
        model = make_model(info=info, use_coulomb_term=True, total_charge=total)
        atoms = structure("molecule")
        plain = evaluate(model, atoms)
        assert compared(atoms, Calculator(model), plain) < EXACT
        charges = atoms.get_charges()
        np.testing.assert_allclose(charges, plain.charges, atol=EXACT)
        assert charges.sum() == pytest.approx(total, abs=EXACT)
        if total == 0:
            expected = plain.charges @ atoms.positions
            np.testing.assert_allclose(atoms.get_dipole_moment(), expected, atol=EXACT)
        else:
            with pytest.raises(PropertyNotImplementedError):
                atoms.get_dipole_moment()


def test_pairs_with_a_skin_are_those_without():
    rng = np.random.default_rng(0)
    finder, atoms = PairList(4.0, skin=1.0), structure("triclinic")

    def rows(pairs):
        table = np.column_stack([pairs.receivers, pairs.senders, pairs.vectors])
        return table[np.lexsort(np.round(table, 9).T[::-1])]

    first = rows(finder.find(atoms).as_pairs())
    for step in range(100):
        atoms.positions += rng.normal(scale=0.05, size=(len(atoms), 3))
        if step % 9 == 0:
            atoms.set_cell(atoms.cell * 1.01)
        if step % 13 == 0:
            atoms.positions[0] += atoms.cell[0]
        if step % 21 == 0:
            atoms.pbc = rng.random(3) < 0.6
        found = rows(finder.find(atoms).as_pairs())
        np.testing.assert_allclose(found, rows(find_pairs(atoms, 4.0)), atol=1e-10)
    assert found.shape != first.shape  # the control


def test_moving_atoms_compile_nothing():
    compiled, atoms = [], crystal()
    atoms.calc = Calculator(make_model("float32"))
    atoms.get_forces()
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiled.append(event) if event == COMPILED else None
    )
    rng = np.random.default_rng(0)
    for step in range(40):
        atoms.positions += rng.normal(scale=0.05, size=(len(atoms), 3))
        if step % 10 == 0:
            atoms.set_cell(atoms.cell * 0.998, scale_atoms=True)
        atoms.get_forces()
        atoms.get_stress()
    assert compiled == []
    calculator, atoms = atoms.calc, crystal(3)  # the controls: more atoms, another element
    calculator.get_forces(atoms)
    grown = len(compiled)
    atoms.symbols[0] = "O"
    calculator.get_forces(atoms)
    assert len(compiled) > grown > 0


def test_what_has_changed_is_calculated_anew(small):
    atoms = structure("triclinic")
    atoms.calc = calculator = Calculator(small[0])
    assert calculator.check_state(atoms) == all_changes
    forces, made = atoms.get_forces(), calculator.results
    assert calculator.check_state(atoms.copy()) == []
    atoms.get_stress()
    assert calculator.results is made  # of the first call
    stresses = atoms.get_stresses()
    np.testing.assert_allclose(stresses.sum(axis=0), atoms.get_stress(), atol=1e-14)
    assert calculator.results["forces"] is made["forces"]  # of the same evaluation
    forces[:] = 0.0  # a copy
    assert np.abs(atoms.get_forces()).max() > 0.001

    def calculated(structure):
        small[1].calculate(structure)  # whatever it calculated before
        return small[1].results["forces"]

    def changed(names, change):
        other = atoms.copy()
        change(other)
        assert calculator.check_state(other) == names
        for structure in (other, atoms):
            found = calculator.get_forces(structure)
            np.testing.assert_allclose(found, calculated(structure), rtol=0, atol=1e-14)

    changed(["positions"], lambda other: other.rattle(1e-9))
    changed(["cell"], lambda other: other.set_cell(other.cell * 1.01))
    changed(["pbc"], lambda other: setattr(other, "pbc", [True, False, True]))
    changed(["numbers"], lambda other: other.set_atomic_numbers(22 - other.numbers))
    changed(["positions", "numbers"], lambda other: other.pop())
    changed([], lambda other: other.set_initial_charges([0.1] * len(other)))


def resident_bytes():
    """Of this process, without freed memory that malloc keeps: it would hide what grows."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_many_displacements_take_no_memory():
    atoms, kept = crystal(), []
    atoms.calc = Calculator(make_model("float32"))

    def grown(keep):
        before, positions = resident_bytes(), atoms.positions.copy()
        for k in range(200):
            atoms.positions = positions
            atoms.positions[k % len(atoms), k % 3] += 0.01
            kept.append(np.ones(keep * atoms.get_forces().size))
        return resident_bytes() - before

    grown(0)
    assert grown(0) < GROWTH < grown(100)


def force_constants(dtype):
    """Return minus the slope of all forces in each displacement, [3 n, 3 n], eV/Å^2."""
    model = replace(load_model(EXAMPLES / "silicon" / "silicon.model"), dtype=dtype, sha256="")
    atoms, step, rows = bulk("Si", a=5.431, cubic=True), 0.001, []
    rest = atoms.positions.copy()
    atoms.calc = Calculator(model)
    for coordinate in range(3 * len(atoms)):
        place, ends = divmod(coordinate, 3), []
        for sign in (1, -1):
            atoms.positions = rest
            atoms.positions[place] += sign * step
            ends.append(atoms.get_forces().ravel())
        rows.append((ends[1] - ends[0]) / (2 * step))
    return np.array(rows)


def test_phonons_of_float64_are_symmetric():
    """Force constants by finite displacements; the trained model, whose crystal is stable."""
    matrix = force_constants("float64")
    asymmetry = np.abs(matrix - matrix.T).max() / np.abs(matrix).max()
    assert asymmetry < 1e-6
    squares = np.linalg.eigvals(matrix)
    assert np.abs(squares.imag).max() < 1e-6 * np.abs(squares).max()
    squares = np.sort(squares.real)
    # Three translations, then what vibrates.
    assert np.abs(squares[:3]).max() < 1e-6 * squares[-1] < squares[3]
    coarse = force_constants("float32")
    assert np.abs(coarse - coarse.T).max() > 1e-6 * np.abs(coarse).max()  # the control


def test_new_elements(small):
    model, atoms = small[0], structure("molecule")
    calculator = Calculator(model)
    calculator.get_forces(ase.Atoms("Si2", [[0, 0, 0], [2, 1, 0]]))
    assert compared(atoms, calculator, evaluate(model, atoms)) < EXACT


def test_several_models(small):
    models = [replace(small[0], params=make_model(seed=seed).params) for seed in (0, 1)]
    atoms = structure("triclinic")
    plain = [evaluate(model, atoms) for model in models]
    atoms.calc = Calculator(models)
    forces = np.array([one.forces for one in plain])
    energies = np.array([one.energies for one in plain])
    np.testing.assert_allclose(atoms.get_forces(), forces.mean(axis=0), atol=EXACT)
    assert atoms.get_potential_energy() == pytest.approx(energies.sum() / 2, abs=EXACT)
    stress = voigt(np.mean([one.stress for one in plain], axis=0))
    np.testing.assert_allclose(atoms.get_stress(), stress, atol=EXACT)
    spread = np.linalg.norm(forces - forces.mean(axis=0), axis=2)
    expected = np.sqrt((spread**2).mean(axis=0))
    found = atoms.calc.get_property("force_deviation", atoms)
    np.testing.assert_allclose(found, expected, atol=EXACT)
    np.testing.assert_allclose(
        atoms.calc.results["energy_deviation"], energies.std(axis=0), atol=EXACT
    )
    alone = Calculator(models[:1])  # the control
    assert np.abs(alone.get_forces(atoms) - forces.mean(axis=0)).max() > 0.01
    assert "force_deviation" not in alone.results


def test_models_that_do_not_fit(small):
    with pytest.raises(ValueError, match="model: give a model file or several; the list is empty"):
        Calculator([])
    other = make_model(info={"atomic_energies_map": {8: 0.0}})
    with pytest.raises(ValueError, match="number 1 of the list knows O, number 0 knows O Si; give"):
        Calculator([small[0], other])


def test_what_is_refused(small):
    model, calculator = small

    def refused(atoms, text):
        with pytest.raises(ValueError, match=text):
            calculator.get_forces(atoms)

    refused(ase.Atoms("SiAu", [[0, 0, 0], [2, 0, 0]]), "does not know the elements Au; it knows O")
    refused(ase.Atoms("Si2"), "atoms: 0 and 1 are in one place")
    refused(ase.Atoms("Si", [[0, np.nan, 0]]), "a position or a cell vector is not finite")
    with pytest.raises(ValueError, match=r"skin=-1: give a length in Å, 0 or more"):
        Calculator(model, skin=-1)
    spoiled = jax.tree.map(lambda x: np.full_like(x, np.nan), model.params)
    with pytest.raises(CalculationFailed, match=r"energy or force of atom 0 \(Si\) is not finite"):
        Calculator(replace(model, params=spoiled)).get_forces(crystal(1))


# JAX keeps its settings; without ASE the package works, and says what it lacks.
ALONE = """
import jax, lammps_mace
from ase.build import bulk
atoms = bulk("Si")
atoms.calc = lammps_mace.Calculator({path!r})
assert atoms.get_potential_energy() < 0
assert not jax.config.jax_enable_x64
assert (jax.numpy.zeros(2) + 1.0).dtype == "float32"
"""
NO_ASE = """
import sys
sys.modules["ase"] = None
import lammps_mace
lammps_mace.load_model({path!r})
lammps_mace.Calculator
"""


def test_settings_of_jax_stay_and_ase_is_named(tmp_path):
    path = str(EXAMPLES / "silicon" / "silicon.model")
    subprocess.run([sys.executable, "-c", ALONE.format(path=path)], check=True, cwd=tmp_path)
    command = [sys.executable, "-c", NO_ASE.format(path=path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        "ImportError: lammps_mace.Calculator needs ASE: pip install 'lammps-mace[tools]'"
        in done.stderr
    )
