"""mlip models of fewer elements give the same numbers."""

import numpy as np
import pytest
from ase import Atoms
from small import CUTOFF, ELEMENTS, make_model

from lammps_mace import evaluate
from lammps_mace.models import families
from lammps_mace.models.model import flatten

OPTIONS = {
    "plain": {},
    "gates": {"gate_nodes": True, "residual_connection_first_layer": True},
    "pairs of species": {"species_pair_scaling": True, "symmetric_contraction_backend": "e3nn"},
    "e3j": {"symmetric_contraction_backend": "e3j"},
    "gaunt": {"symmetric_contraction_backend": "gaunt_tp", "use_gaunt_tp_message_passing": True},
    "spare rows": {"num_species": 7},
    "charges": {"use_total_charge_embedding": True},
}  # fmt: skip
INFO = {"atomic_energies_map": {3: -1.0, **ELEMENTS}, "total_charge_set": {0, 1}}


def structure(numbers):
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(*[[0.0, 0.6 * CUTOFF]] * 3), -1).reshape(-1, 3)
    cell = 1.2 * CUTOFF * np.eye(3)
    positions = grid + rng.uniform(-0.3, 0.3, grid.shape)
    return Atoms(rng.choice(numbers, len(grid)), positions, cell=cell, pbc=True)


@pytest.mark.parametrize("name", OPTIONS)
def test_fewer_elements(name):
    charge = 1 if name == "charges" else None
    whole = make_model(info=INFO, total_charge=charge, **OPTIONS[name])
    numbers = sorted(ELEMENTS)
    chosen = families.select_elements(whole, [2, 1])
    assert chosen.dataset_info.atomic_numbers == tuple(numbers)
    families.check_settings(chosen)
    shapes = families.parameter_shapes(chosen)
    assert {key: array.shape for key, array in flatten(chosen.params).items()} == shapes
    atoms = structure(numbers)
    one, other = evaluate(whole, atoms), evaluate(chosen, atoms)
    np.testing.assert_allclose(one.energies, other.energies, rtol=1e-12)
    np.testing.assert_allclose(one.forces, other.forces, atol=1e-11 * np.abs(one.forces).max())
    wrong = families.select_elements(whole, [0, 1])  # a control: other rows of the tables
    atoms.numbers[:] = numbers[0]
    assert families.facts(wrong).elements[1] == families.facts(chosen).elements[0]


def test_a_data_set_without_the_elements_keeps_them_all():
    maps = ({3: -1.0}, ELEMENTS)
    whole = make_model(info={"atomic_energies_map": maps}, num_readout_heads=2)
    assert families.select_elements(whole, [1, 2]) is whole
