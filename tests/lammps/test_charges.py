"""Models with charges in real LAMMPS: against mlip, on any ranks; derivatives; what is refused."""

import re

import ase
import numpy as np
import pytest
import quick_xla
from charged import CASES, COULOMB
from parity import Case, make_oracle
from results import OUTPUT, assert_same, results
from small import make_model, write_model

from lammps_mace.cli.lammps_process import run_lammps as run_structure
from lammps_mace.convert import ConvertError, convert
from lammps_mace.evaluation import Evaluator

FLOAT64 = 1e-8  # eV per atom, part of the largest force: another order of the same sums
FLOAT32 = {"energy": 2e-5, "forces": 2e-4}
NUMERICAL = 1e-6  # central differences of a float64 energy
CHARGE = 1e-6  # e, the sum of all charges as a dump prints them

# Eight atoms, two elements, in a box that the long cutoff spans several times.
ATOMS = """
units metal
atom_style charge
atom_modify map yes
newton on
lattice diamond 5.43
region box {region}
create_box 2 box
create_atoms 2 box
set type 2 type/fraction 1 0.4 1234
mass * 20
displace_atoms all random 0.2 0.2 0.2 17
"""
CRYSTAL = ATOMS.format(region="block 0 2 0 1 0 1")
TRICLINIC = ATOMS.format(region="prism 0 2 0 1 0 1 0.3 -0.2 0.2")
STYLE = "pair_style mliap unified x.model 0\npair_coeff * * O Si\n"
INFO = {"long_range_cutoff_angstrom": 6.0, "total_charge_set": [0, 2]}


@pytest.fixture
def model(tmp_path):
    """Return a function that writes x.model with a Coulomb sum and a total charge of 2."""

    def write(total_charge=2, write_charges=False, **config):
        made = make_model(info=INFO, total_charge=total_charge, **{**COULOMB, **config})
        made = made.__class__(**{**made.__dict__, "write_charges": write_charges})
        write_model(tmp_path / "x.model", made)
        return made

    return write


@pytest.mark.parametrize("name", CASES)
def test_lammps_says_what_mlip_says(name, tmp_path, monkeypatch):
    if name != "all":  # which is compiled as users do
        monkeypatch.setenv("XLA_FLAGS", quick_xla.FLAGS)
    case, path = CASES[name], tmp_path / "x.model"
    oracle = make_oracle(case)
    head = None if case.head is None else str(case.head)
    zipped = oracle.save(tmp_path / "x.zip")
    truth, atoms = oracle.evaluate(case.atoms, case.charge, case.head), case.atoms
    largest = np.abs(truth.forces).max()

    def differences(ranks):
        result = run_structure(path, atoms, ranks, tmp_path)
        found = {
            "energy": abs(result.energy - truth.energy) / len(atoms),
            "forces": np.abs(result.forces - truth.forces).max() / largest,
        }
        if all(atoms.pbc):
            error = -result.virial - truth.stress * atoms.get_volume()
            found["virial"] = np.abs(error).max() / (largest * len(atoms))
        return found, result

    convert(zipped, path, dtype="float64", total_charge=case.charge, head=head)
    halves = Evaluator(path).evaluate(atoms).energies
    for ranks in (1, 2, 4) if name == "all" else (1, 4):  # 2 ranks run in float32, below
        found, result = differences(ranks)
        assert max(found.values()) < FLOAT64, (ranks, found)
        assert np.abs(result.energies - halves).max() < FLOAT64
    convert(zipped, path, total_charge=case.charge, head=head)
    found, _ = differences(2)
    assert found["energy"] < FLOAT32["energy"]
    assert found["forces"] < FLOAT32["forces"]
    assert max(found.values()) > FLOAT64  # the precision is the model's


def test_tiled_ranks_agree(run_lammps, prepare, model):
    """LAMMPS's tiles need a box longer than the cutoff with its skin, 8 Å."""
    model(num_channels=2, l_max=1)
    start = prepare(ATOMS.format(region="block 0 3 0 2 0 2")) + "{tiles}" + STYLE + OUTPUT
    one = results(run_lammps(start.format(tiles="") + "run 0\n"))
    tiles = "comm_style tiled\nbalance 1.0 rcb\n"
    assert_same(results(run_lammps(start.format(tiles=tiles) + "run 0\n", 4)), one, 1e-10)


LOCAL_SUM = """
import lammps_mace.engine.charges as charges
constrain_charges = charges.constrain_charges
class Local:
    def __init__(self, exchange):
        self.charge = exchange.charge
        self.exchange = exchange
    def sum(self, values):
        self.exchange.sum(values)  # what the other ranks have is thrown away
        return values
import lammps_mace.engine.stepwise
lammps_mace.engine.stepwise.constrain_charges = lambda raw, species, settings, exchange: (
    constrain_charges(raw, species, settings, Local(exchange)))
"""


@pytest.mark.parametrize("start", [CRYSTAL, TRICLINIC], ids=["crystal", "triclinic"])
def test_ranks_agree_and_a_local_sum_does_not(run_lammps, prepare, model, patch, start):
    model()
    script = prepare(start) + STYLE + OUTPUT + "run 0\n"
    one = results(run_lammps(script))
    assert one[1]["PotEng"] != 0
    assert_same(results(run_lammps(script, 2)), one, 1e-10)
    if start is CRYSTAL:
        wrong = results(run_lammps(script, 2, patch(LOCAL_SUM)))
        with pytest.raises(AssertionError):
            assert_same(wrong, one, 1e-3)


def test_forces_and_virial_are_derivatives(run_lammps, prepare, model):
    model(num_channels=2, l_max=1)
    numerical = """
    fix f all numdiff 1 1e-4
    fix v all numdiff/virial 1 1e-6
    variable ex atom abs(fx-f_f[1])
    variable fx atom abs(fx)
    compute e all reduce max v_ex v_fx
    compute virial all pressure NULL virial
    variable ev equal abs(f_v[1]-c_virial[1])+abs(f_v[4]-c_virial[6])
    thermo_style custom step c_e[1] c_e[2] v_ev c_virial[1] ecoul
    thermo_modify format float %.16g
    run 0
    """
    run = run_lammps(prepare(CRYSTAL) + STYLE + numerical, 2)
    assert run.returncode == 0, run.out
    [row] = run.thermo()
    assert row["E_coul"] != 0
    assert row["c_e[1]"] < NUMERICAL * row["c_e[2]"]
    assert row["v_ev"] < 1e-5 * abs(row["c_virial[1]"])


@pytest.mark.parametrize(
    ("coulomb", "virial"), [(True, "stress/atom"), (False, "centroid/stress/atom")]
)
def test_written_charges(run_lammps, model, coulomb, virial):
    """Energies without a Coulomb sum do not depend on the charges: they have a heat current."""
    made = model(write_charges=True, use_coulomb_term=coulomb, predict_partial_charges=True)
    script = CRYSTAL + STYLE + (
        "compute q all property/atom q\ncompute sum all reduce sum c_q\n"
        f"compute w all {virial} NULL virial\ncompute v all reduce sum c_w[1]\n"
        "compute p all pressure NULL virial\nvariable v equal c_v+c_p[1]*vol\n"
        "thermo_style custom step c_sum c_p[1] v_v\nthermo_modify format float %.12g\n"
        "dump d all custom 1 dump.txt id type x y z q\ndump_modify d format float %.12g\nrun 0\n"
    )  # fmt: skip
    run = run_lammps(script, 2)
    assert run.returncode == 0, run.out
    [row] = run.thermo()
    assert row["c_sum"] == pytest.approx(2.0, abs=CHARGE)
    assert abs(row["v_v"]) < 1e-7 * abs(row["c_p[1]"])
    dumped = run.dump()
    atoms = ase.Atoms(
        [8 if atom["type"] == 1 else 14 for atom in dumped],
        [[atom[axis] for axis in "xyz"] for atom in dumped],
        cell=[10.86, 5.43, 5.43], pbc=True,
    )  # fmt: skip
    expected = Evaluator(made).evaluate(atoms).charges
    np.testing.assert_allclose([atom["q"] for atom in dumped], expected, atol=1e-8)


def test_null_types_have_no_part_in_the_charges(run_lammps, model):
    """Two ghostly argon atoms that another style treats: the model's atoms keep their charges."""
    model(write_charges=True)
    style = (
        "pair_style hybrid mliap unified x.model 0 lj/cut 5.0\n"
        "pair_coeff * * mliap O Si NULL\npair_coeff * 3 lj/cut 0.01 3.0\n"
    )
    script = CRYSTAL.replace("create_box 2", "create_box 3") + "create_atoms 3 single 0.4 0.4 0.4\n"
    tail = (
        "mass 3 40\nset type 3 charge 0\ngroup model type 1 2\n{style}"
        "compute q all property/atom q\ncompute sum model reduce sum c_q\n"
        "thermo_style custom step c_sum ecoul\nthermo_modify format float %.12g\nrun 0\n"
    )
    with_null = run_lammps(script + tail.format(style=style), 2)
    assert with_null.returncode == 0, with_null.out
    alone = tail.replace("mass 3 40\nset type 3 charge 0\n", "").format(style=STYLE)
    plain = run_lammps(CRYSTAL + alone, 2)
    assert plain.returncode == 0, plain.out
    row, expected = with_null.thermo()[-1], plain.thermo()[-1]
    assert row["c_sum"] == pytest.approx(2.0, abs=CHARGE)
    assert row["E_coul"] == pytest.approx(expected["E_coul"], rel=1e-9)


REFUSALS = {
    "no charges in the style": (
        lambda script: script.replace("atom_style charge", "atom_style atomic"),
        "write `atom_style charge`",
    ),
    "heat flux": (
        lambda script: script.replace(
            "run 0", "compute k all ke/atom\ncompute e all pe/atom\n"
            "compute w all centroid/stress/atom NULL virial\ncompute j all heat/flux k e w\nrun 0",
        ),
        "compute heat/flux: the charges of the model are shifted",
    ),
    "centroid stress": (
        lambda script: script.replace("run 0", "compute w all centroid/stress/atom NULL\nrun 0"),
        "compute centroid/stress/atom: the charges of the model are shifted so that their sum is "
        "its total charge, the Coulomb energy of an atom depends on all atoms, and its heat "
        "current is not available: use a model without charges",
    ),
    "kspace": (
        lambda script: script.replace(
            STYLE, "set type 1 charge 1.0\n"
            "pair_style hybrid/overlay mliap unified x.model 0 coul/long 6.0\n"
            "pair_coeff * * mliap O Si\npair_coeff * * coul/long\nkspace_style ewald 1e-3\n"
            "kspace_modify pressure/scalar no\n",
        ),
        "would count their Coulomb energy a second time",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(run_lammps, model, name):
    model(write_charges=True)
    change, words = REFUSALS[name]
    run = run_lammps(change(CRYSTAL + STYLE + "run 0\n"), 2)
    assert run.returncode != 0
    assert words in run.log


@pytest.mark.parametrize(("charge", "warned"), [(2, True), (0, False)])
def test_a_changing_number_of_charged_atoms_is_told(run_lammps, model, charge, warned):
    """Once in a run, however often it changes."""
    model(total_charge=charge, num_channels=2, l_max=1)
    script = CRYSTAL + STYLE + "run 0\ngroup one id 1\ndelete_atoms group one\nrun 0\n"
    script += "fix 1 all evaporate 1 1 box 4711\nrun 3\n"
    run = run_lammps(script, 2)
    assert run.returncode == 0, run.out
    found = re.findall("the number of atoms changed, the total charge .* remains 2 e", run.log)
    assert len(found) == (2 if warned else 0)


@pytest.mark.parametrize("rank", [0, 1])
def test_failure_between_the_sums_ends_all_ranks(run_lammps, model, patch, rank):
    model(num_channels=2, l_max=1)
    fail = f"""
import lammps_mace.engine.charges as charges
rank = self._rank.index
constrain_charges = charges.constrain_charges
def broken(raw, species, settings, exchange):
    if rank == {rank}:
        raw = raw * float("nan")
    return constrain_charges(raw, species, settings, exchange)
lammps_mace.engine.stepwise.constrain_charges = broken
"""
    run = run_lammps(CRYSTAL + STYLE + "run 0\n", 2, patch(fail), timeout=120)
    assert run.returncode != 0
    assert re.search(rf"non-finite charge of atom ID \d+ \(rank {rank} of 2", run.log)


def test_write_charges_needs_charges(tmp_path):
    case = Case()
    zipped = make_oracle(case).save(tmp_path / "x.zip")
    with pytest.raises(ConvertError, match="--write-charges: the model predicts no charges"):
        convert(zipped, tmp_path / "x.model", write_charges=True)
