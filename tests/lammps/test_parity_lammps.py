"""mlip's checkpoints, converted, in real LAMMPS on one and two ranks, against mlip itself."""

import numpy as np
import pytest
import quick_xla
from parity import Case, make_oracle, random_case

from lammps_mace.cli.lammps_process import run_lammps
from lammps_mace.convert import convert

TOLERANCE = 1e-8  # float64: eV per atom, part of the largest force
CHARGED = {"total_charge_set": [-1, 0]}
CASES = {
    "e3j, triclinic": Case({"l_max": 2}),
    "gates and heads": Case(
        {"gate_nodes": True, "num_readout_heads": 2, "soft_normalization": 0.5}, head=1,
        shape="orthogonal", n_elements=4,
    ),
    "pseudotensors, three layers": Case({"include_pseudotensors": True, "num_layers": 3}),
    "gaunt, slab": Case(
        {"symmetric_contraction_backend": "gaunt_tp", "use_gaunt_tp_message_passing": True},
        shape="slab",
    ),
    "charge of -1": Case(
        {"use_total_charge_embedding": True, "predict_partial_charges": True}, CHARGED,
        shape="rotated", charge=-1,
    ),
    "deterministic": Case({"deterministic_scatter_ops": True}, shape="molecule"),
}  # fmt: skip
RANDOM = [seed for seed in range(200, 260) if not random_case(seed).config["use_coulomb_term"]][:2]
CASES |= {f"random {seed}": random_case(seed) for seed in RANDOM}


AS_USERS = ("deterministic", "charge of -1")  # these compile with XLA's full effort


@pytest.mark.parametrize("name", CASES)
def test_lammps_says_what_mlip_says(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "" if name in AS_USERS else quick_xla.FLAGS)
    case = CASES[name]
    oracle = make_oracle(case)
    path = tmp_path / "x.model"
    convert(
        oracle.save(tmp_path / "x.zip"), path, dtype="float64", total_charge=case.charge,
        head=None if case.head is None else str(case.head),
    )  # fmt: skip
    truth, atoms = oracle.evaluate(case.atoms, case.charge, case.head), case.atoms
    largest = max(np.abs(truth.forces).max(), 1e-3)
    for ranks in (1, 2):
        result = run_lammps(path, atoms, ranks, tmp_path)
        assert abs(result.energy - truth.energy) < TOLERANCE * len(atoms)
        assert np.abs(result.forces - truth.forces).max() < TOLERANCE * largest
        assert np.abs(result.energies - truth.energies).max() < TOLERANCE
        if all(atoms.pbc):
            stress = -result.virial / atoms.get_volume()
            # LAMMPS's pressure unit is known to eight digits, and cancels.
            error = np.abs(stress - truth.stress).max() * atoms.get_volume()
            assert error < TOLERANCE * largest * len(atoms)


def test_control_another_head_is_noticed(tmp_path):
    case = CASES["gates and heads"]
    oracle = make_oracle(case)
    convert(oracle.save(tmp_path / "x.zip"), tmp_path / "x.model", dtype="float64", head="0")
    truth = oracle.evaluate(case.atoms, case.charge, head=1)
    result = run_lammps(tmp_path / "x.model", case.atoms, 2, tmp_path)
    assert np.abs(result.forces - truth.forces).max() > 1e-3 * np.abs(truth.forces).max()
