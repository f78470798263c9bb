"""MACE in real LAMMPS: one rank against many, the network itself, and numerical derivatives."""

import re

import numpy as np
import pytest
from results import OUTPUT, assert_same, results
from small import energy_and_gradient, make_model, make_structure, write_model

from lammps_mace.coupling.log_report import read_compilations

FLOAT64 = 1e-10  # relative: the same sums in another order, scattered over ranks
FLOAT32 = 1e-5
NUMERICAL = 1e-6  # central differences of a float64 energy

STYLE = "pair_style mliap unified x.model 0\npair_coeff * * O Si\n"
CRYSTAL = """
units metal
boundary p p p
atom_modify map yes
newton on
lattice diamond 5.43
region box block 0 3 0 2 0 2
create_box 2 box
create_atoms 2 box
set type 2 type/fraction 1 0.4 1234
mass 1 16
mass 2 28
displace_atoms all random 0.2 0.2 0.2 17
"""
TINY = CRYSTAL.replace("block 0 3 0 2 0 2", "block 0 1 0 1 0 1")
TRICLINIC = CRYSTAL.replace("block 0 3 0 2 0 2", "prism 0 2 0 2 0 2 0.7 -0.4 0.3")
# Atoms at one end only: of 4 ranks along x, at least two own nothing.
SLAB = (
    CRYSTAL.replace("boundary p p p", "boundary p p p\nprocessors * 1 1")
    .replace("block 0 3 0 2 0 2", "block 0 8 0 1 0 1")
    .replace("create_atoms 2 box", "region end block 0 2 0 1 0 1\ncreate_atoms 2 region end")
)
SYSTEMS = {"crystal": CRYSTAL, "tiny": TINY, "triclinic": TRICLINIC, "slab": SLAB}


@pytest.fixture
def model(tmp_path):
    """Return a function that writes x.model where LAMMPS runs."""

    def write(dtype="float64", **config):
        made = make_model(dtype, **config)
        write_model(tmp_path / "x.model", made)
        return made

    return write


AS_USERS = {"XLA_FLAGS": ""}  # XLA's full effort
NO_EXCHANGE = """
from lammps_mace.engine.ghost_exchange import HostExchange
exchanged = HostExchange.forward
def forward(self, sent):
    slots = self.layout.capacity.slots
    return exchanged(self, sent).at[slots:].set(0.0)  # what the others sent is thrown away
HostExchange.forward = forward
"""


@pytest.mark.parametrize("name", SYSTEMS)
def test_ranks_agree(run_lammps, prepare, model, name):
    model()
    script = prepare(SYSTEMS[name]) + STYLE + OUTPUT + "run 0\n"
    one = results(run_lammps(script))
    for ranks in (2, 4):
        assert_same(results(run_lammps(script, ranks)), one, FLOAT64)


def test_ranks_agree_in_float32_and_three_layers(run_lammps, prepare, model):
    start = prepare(CRYSTAL) + STYLE + OUTPUT + "run 0\n"
    model("float32", num_layers=3)
    one = results(run_lammps(start))
    assert_same(results(run_lammps(start, 2)), one, FLOAT32)
    model(num_layers=3)
    precise = results(run_lammps(start, 2))
    with pytest.raises(AssertionError):  # the precision is the model's, not a hidden float64
        assert_same(precise, one, FLOAT64)


def test_without_exchange_ranks_differ(run_lammps, prepare, model, patch):
    model(exact_radial=True)  # then ranks exchange between programs, not in them
    script = prepare(CRYSTAL) + STYLE + OUTPUT + "run 0\n"
    one = results(run_lammps(script))
    wrong = results(run_lammps(script, 2, patch(NO_EXCHANGE)))
    with pytest.raises(AssertionError):
        assert_same(wrong, one, 1e-3)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("n_cells", [1, 2])
def test_forces_are_those_of_the_network(run_lammps, model, tmp_path, n_cells, ranks):
    made, structure = model(), make_structure(n_cells)
    write_data(tmp_path / "start.data", structure)
    script = f"units metal\nread_data start.data\nmass * 20\n{STYLE}{OUTPUT}run 0\n"
    atoms, thermo = results(run_lammps(script, ranks, AS_USERS))
    energy, gradient = energy_and_gradient(made, structure)
    forces = np.zeros_like(structure.positions)
    np.add.at(forces, structure.centres, gradient)
    np.subtract.at(forces, structure.neighbours, gradient)
    virial = -np.einsum("ei,ej->ij", structure.vectors, gradient)
    assert thermo["PotEng"] == pytest.approx(energy, rel=FLOAT64)
    np.testing.assert_allclose(atoms[:, :3], forces, atol=FLOAT64 * np.abs(forces).max())
    # LAMMPS adds up -stress x volume per atom, in bar Å^3.
    summed = -atoms[:, 4:].sum(axis=0) / 1.6021765e6
    expected = virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    np.testing.assert_allclose(summed, expected, atol=1e-8 * np.abs(virial).max())
    assert atoms[:, 3].sum() == pytest.approx(energy, rel=FLOAT64)


def write_data(path, structure):
    length = structure.cell[0, 0]
    lines = ["structure", "", f"{len(structure.species)} atoms", "2 atom types", ""]
    lines += [f"0 {length:.17g} {axis}lo {axis}hi" for axis in "xyz"]
    lines += ["", "Atoms # atomic", ""]
    for i, (species, x) in enumerate(zip(structure.species, structure.positions, strict=True)):
        lines.append(f"{i + 1} {species + 1} " + " ".join(f"{c:.17g}" for c in x))
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("ranks", [1, 2])
def test_forces_and_virial_are_derivatives(run_lammps, prepare, model, ranks):
    model()
    numerical = """
    fix f all numdiff 1 1e-4
    fix v all numdiff/virial 1 1e-4
    variable ex atom abs(fx-f_f[1])
    variable fx atom abs(fx)
    compute e all reduce max v_ex v_fx
    compute virial all pressure NULL virial
    variable ev equal abs(f_v[1]-c_virial[1])+abs(f_v[4]-c_virial[6])
    thermo_style custom step c_e[1] c_e[2] v_ev c_virial[1]
    thermo_modify format float %.16g
    run 0
    """
    start = prepare(TINY)
    run = run_lammps(start + STYLE + numerical, ranks)
    assert run.returncode == 0, run.out
    [row] = run.thermo()
    assert row["c_e[1]"] < NUMERICAL * row["c_e[2]"]
    assert row["v_ev"] < 1e-5 * abs(row["c_virial[1]"])


def test_compilations_when_atoms_migrate(run_lammps, model):
    model("float32", num_channels=2, l_max=1)
    script = (
        CRYSTAL
        + STYLE
        + "velocity all create 6000 4711\nfix 1 all nve\nneigh_modify every 1 delay 0 check yes\n"
        + "fix 2 all langevin 6000 6000 0.02 4711\ntimestep 0.002\nthermo 250\nrun 750\n"
    )
    run = run_lammps(script, 4, timeout=500)
    assert run.returncode == 0, run.out
    counts = read_compilations(run.log)
    assert counts.keys() == {"step"}
    assert 1 <= counts["step"] <= 3
    [builds] = re.findall(r"Neighbor list builds = (\d+)", run.log)
    assert int(builds) > 20  # atoms did move between the ranks


def test_energy_is_conserved(run_lammps, model):
    model()
    script = (
        CRYSTAL
        + STYLE
        + "minimize 0 1e-3 100 1000\nvelocity all create 300 1\nfix 1 all nve\ntimestep 0.0005\n"
        + "thermo 100\nthermo_modify norm yes format float %.12g\n"
        + "thermo_style custom step temp etotal\nrun {n}\n"
    )
    run = run_lammps(script.format(n=1000), 2)
    assert run.returncode == 0, run.out
    energies = [row["TotEng"] for row in run.thermo()[-11:]]
    assert np.ptp(energies) < 2e-4  # eV/atom


MISTAKES = {
    "no model": ("x.model", "y.model", "model file 'y.model' does not exist"),
    "unknown element": ("O Si", "O C", "the model has no element 'C'; it knows O Si"),
    "units": ("units metal", "units lj", "units"),
}
MEMO_BOMB = b"\x80\x04Nr\x00\x00\x00\x08."  # for which an unpickler takes 2 GB


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(run_lammps, model, name):
    model()
    old, new, words = MISTAKES[name]
    for ranks in (1, 2):
        run = run_lammps((CRYSTAL + STYLE + "run 0\n").replace(old, new), ranks)
        assert run.returncode != 0
        assert words in run.log
        assert "Traceback" not in run.log


def test_file_that_is_no_model(run_lammps, tmp_path):
    (tmp_path / "x.model").write_bytes(MEMO_BOMB)
    for ranks in (1, 2):
        run = run_lammps(CRYSTAL + STYLE + "run 0\n", ranks)
        assert run.returncode != 0
        words = (
            "ERROR: 'x.model' is not a model file of lammps-mace: the pickle holds another object"
        )
        assert run.out.count(words) == 1
        assert "Traceback" not in run.out


@pytest.mark.parametrize("ranks", [1, 2])
def test_model_lost_during_the_script(run_lammps, model, ranks):
    """What was read stays; who asks for the file again is told that it is gone."""
    model()
    lost = TINY + STYLE + "shell rm x.model x.json x.safetensors\nrun 0\nrun 0\n"
    run = run_lammps(lost + "clear\nprint again\n" + TINY + STYLE + "run 0\n", ranks)
    assert run.returncode != 0
    first, second = run.thermo()
    assert first == second
    before, _, after = run.log.rpartition("\nagain\n")
    assert "ERROR" not in before
    assert "model file 'x.model' does not exist" in after


def test_altered_model_is_refused_at_pair_style(run_lammps, model, tmp_path):
    model()
    weights = tmp_path / "x.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    run = run_lammps(CRYSTAL + "print before\n" + STYLE + "print after\nrun 0\n", 2)
    assert run.returncode != 0
    assert "x.safetensors' was altered" in run.log
    assert "before" in run.log
    assert "\nafter" not in run.log


RAISE = """
potential = module.PluginPotential
compute = potential.compute
def failing(self, step, count=[0]):
    count[0] += 1
    if self._rank.index == 2 and count[0] == 3:
        raise RuntimeError("rank 2 has lost its mind")
    return compute(self, step)
potential.compute = failing
"""


def test_exception_on_one_rank_ends_all(run_lammps, model, patch):
    model()
    script = CRYSTAL + STYLE + "fix 1 all nve\nrun 100\n"
    run = run_lammps(script, 4, patch(RAISE), timeout=90)
    assert run.returncode != 0
    assert "rank 2 has lost its mind" in run.log
