"""The same checkpoint in mlip and, converted, here: every option alone and random combinations."""

import os

import numpy as np
import pytest
from parity import Case, differences, make_oracle, random_case, spoiled

from lammps_mace.convert import convert
from lammps_mace.evaluation import Evaluator

# Another order of the same float64 sums, as the project promises: eV per atom, part of the largest
# force, e.
TOLERANCE = 1e-8
# What every comparison must notice: all weights wrong in the seventh digit.
SPOILED_BY = 1e-6
N_RANDOM = int(os.environ.get("PARITY_RANDOM", "60"))

CHARGES = {"total_charge_set": [-1, 0, 1]}
LONG_RANGE = {**CHARGES, "long_range_cutoff_angstrom": 7.0}
TWO_SETS = {
    "dataset_name": ["first", "second"],
    "atomic_energies_map": [{1: -1.0, 6: -2.0}, {1: -3.0, 6: -4.0}],
}
OPTIONS = {
    "defaults": Case(),
    "one layer": Case({"num_layers": 1}),
    "three layers": Case({"num_layers": 3}),
    "four layers": Case({"num_layers": 4}),
    "channels": Case({"num_channels": 7}),
    "l_max 0": Case({"l_max": 0, "node_symmetry": 0}),
    "l_max 2": Case({"l_max": 2}),
    "l_max 3": Case({"l_max": 3}),
    "l_max 4": Case({"l_max": 4, "correlation": 1, "num_layers": 1}),
    "node_symmetry None": Case({"l_max": 2, "node_symmetry": None}),
    "node_symmetry 0": Case({"node_symmetry": 0}),
    "correlation 1": Case({"correlation": 1}),
    "correlation 3": Case({"correlation": 3, "l_max": 2, "num_layers": 1}),
    "correlation 4": Case({"correlation": 4, "num_layers": 1}),
    "readout_irreps": Case({"readout_irreps": ["3x0e+2x0o", "0e"]}),
    "num_readout_heads": Case({"num_readout_heads": 3}, head=2),
    "heads with E0": Case({"num_readout_heads": 2}, TWO_SETS, head=1),
    "E0 of one head": Case({}, TWO_SETS, head=1),
    "include_pseudotensors": Case({"include_pseudotensors": True}),
    "num_rbf": Case({"num_rbf": 9}),
    "activation": Case({"activation": "tanh"}),
    "radial_envelope": Case({"radial_envelope": "soft_envelope"}),
    "radial_mlp_hidden": Case({"radial_mlp_hidden": [5, 7, 6]}),
    "radial_mlp_activation": Case({"radial_mlp_activation": "elu"}),
    "add_atomic_energies": Case({"add_atomic_energies": False}),
    "avg_num_neighbors": Case({"avg_num_neighbors": 3.0}),
    "avg_r_min": Case({"avg_r_min": 1.7}, {"avg_r_min_angstrom": 1.2}),
    "num_species": Case({"num_species": 7}),
    "gate_nodes": Case({"gate_nodes": True}),
    "residual_connection_first_layer": Case({"residual_connection_first_layer": True}),
    "soft_normalization": Case({"soft_normalization": 0.3}),
    "predict_partial_charges": Case({"predict_partial_charges": True}, CHARGES, charge=-1),
    "use_coulomb_term": Case({"use_coulomb_term": True}, LONG_RANGE, charge=-1),
    "coulomb of a slab": Case({"use_coulomb_term": True}, LONG_RANGE, "slab", charge=1),
    "coulomb of a molecule": Case({"use_coulomb_term": True}, LONG_RANGE, "molecule", charge=0),
    "use_total_charge_embedding": Case({"use_total_charge_embedding": True}, CHARGES, charge=-1),
    "embed_activation": Case(
        {"use_total_charge_embedding": True, "embed_activation": "tanh"}, CHARGES, charge=1
    ),
    "deterministic_scatter_ops": Case({"deterministic_scatter_ops": True}),
    "e3nn": Case({"symmetric_contraction_backend": "e3nn"}),
    "e3nn_symmetric": Case({"symmetric_contraction_backend": "e3nn_symmetric"}),
    "gaunt_tp": Case({"symmetric_contraction_backend": "gaunt_tp"}),
    "use_gaunt_tp_message_passing": Case({"use_gaunt_tp_message_passing": True}),
    "scaling": Case({}, {"scaling_mean": -0.4, "scaling_stdev": 2.5, "avg_r_min_angstrom": 0.9}),
    "one element": Case(n_elements=1),
    "four elements": Case(shape="orthogonal", n_elements=4),
    "ten elements": Case(n_elements=10),
    "orthogonal": Case(shape="orthogonal"),
    "rotated cell": Case(shape="rotated"),
    "one atom": Case(shape="one atom"),
    "slab": Case(shape="slab"),
    "molecule": Case(shape="molecule"),
}


def check(case: Case, folder) -> None:
    """Convert mlip's checkpoint and compare everything; then the control."""
    oracle = make_oracle(case)
    path = folder / "x.model"
    convert(
        oracle.save(folder / "x.zip"), path, dtype="float64", total_charge=case.charge,
        head=None if case.head is None else str(case.head),
    )  # fmt: skip
    truth = oracle.evaluate(case.atoms, case.charge, case.head)
    # Random weights of deep networks make energies for which 1e-8 eV is less than one bit.
    tolerance = TOLERANCE * max(1.0, np.abs(truth.energy) * 1e-6)
    evaluator = Evaluator(path)
    found = differences(evaluator.evaluate(case.atoms), truth)
    assert max(found.values()) < tolerance, found
    wrong = differences(spoiled(evaluator, SPOILED_BY).evaluate(case.atoms), truth)
    assert max(wrong.values()) > tolerance, wrong


@pytest.mark.parametrize("name", OPTIONS)
def test_option(name, tmp_path):
    check(OPTIONS[name], tmp_path)


@pytest.mark.parametrize("seed", range(N_RANDOM))
def test_random_combination(seed, tmp_path):
    check(random_case(seed), tmp_path)


def test_random_cases_cover_every_field():
    cases = [random_case(seed) for seed in range(60)]
    for name in cases[0].config:
        values = {str(case.config[name]) for case in cases}
        assert len(values) > 1, name
    assert len({case.shape for case in cases}) == 6
    assert {case.charge for case in cases} == {None, -1, 0, 2}
