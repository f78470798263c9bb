"""LAMMPS with the neighbour list on the device (here a CPU), against pairs from the host."""

import re

import numpy as np
import pytest
import quick_xla
from small import make_model, write_model

PATH = "LAMMPS_MACE_DEVICE_PATH"
TIGHT = 1e-12
# Tilted, two models' species and one of another style, constant pressure, everything per atom.
START = """
units metal
atom_modify map yes
read_data start.data
pair_style hybrid mliap unified x.model 0 lj/cut 3.0
pair_coeff * * mliap Si O NULL
pair_coeff * 3 lj/cut 0.01 2.0
"""
ATOMS = """
units metal
lattice diamond 5.43
region box prism 0 3 0 2 0 2 0.3 0.2 0.1
create_box 3 box
create_atoms 1 box
set group all type/ratio 2 0.3 17
set group all type/ratio 3 0.05 18
mass * 28
displace_atoms all random 0.2 0.2 0.2 17
velocity all create 900 11
"""
RUN = """
neighbor 0.7 bin
compute s all stress/atom NULL
compute e all pe/atom
thermo_style custom step pe press pxx pyy pzz pxy pxz pyz
thermo 2
thermo_modify format float %.15g
fix 1 all npt temp 900 900 0.1 iso 0 0 1
run 10
write_dump all custom dump.txt id x y z fx fy fz c_s[*] c_e modify sort id format float %.17g
"""
LAYOUTS = {1: "", 2: "comm_style tiled\nbalance 1.0 rcb\n", 4: "balance 1.0 shift xz 5 1.02\n"}


@pytest.fixture
def start(run_lammps, tmp_path):
    """Write the model and the atoms, the same for all numbers of ranks."""
    write_model(tmp_path / "x.model", make_model())
    made = run_lammps(ATOMS + "write_data start.data\n")
    assert made.returncode == 0, made.out
    return START


@pytest.fixture
def numbers(run_lammps):
    """Return a function: script, ranks, environment -> the run, its thermo output and atoms."""

    def run(script, ranks, env):
        done = run_lammps(script, ranks, env)
        assert done.returncode == 0, done.out
        tables = (done.thermo(), done.dump())
        return done, *(np.array([list(row.values()) for row in table]) for table in tables)

    return run


def largest_difference(found, expected):
    """Return the largest difference, as a part of the largest number of its column."""
    return (np.abs(found - expected).max(axis=0) / np.abs(expected).max(axis=0)).max()


@pytest.mark.parametrize("ranks", LAYOUTS)
def test_both_paths_give_the_same(start, numbers, patch, ranks):
    script = start + LAYOUTS[ranks] + RUN
    host, thermo, atoms = numbers(script, ranks, {PATH: "0"})
    device, *found = numbers(script, ranks, {PATH: "1"})
    assert "lammps-mace: device path: neighbour lists stay" in device.log
    assert "device path" not in host.log
    assert largest_difference(found[0], thermo) < TIGHT
    assert largest_difference(found[1], atoms) < TIGHT
    moved = re.search(r"step to and from the device: steps ([\d.]+), neigh", device.log)
    assert 24 < float(moved[1]) < 60
    if ranks == 1:
        push = "compute = self.compute\n\ndef pushed(step):\n    energy = compute(step)\n"
        push += "    step.list.forces[0] += 1e-9\n    return energy\n\nself.compute = pushed"
        _, _, other = numbers(script, ranks, {PATH: "1", **patch(push)})
        assert largest_difference(other, atoms) > 10 * TIGHT


def test_two_devices(start, numbers):
    """Each rank keeps its list on a device of its own."""
    flags = f"{quick_xla.FLAGS} --xla_force_host_platform_device_count=2"
    _, *expected = numbers(start + RUN, 2, {PATH: "0"})
    device, *found = numbers(start + RUN, 2, {PATH: "1", "XLA_FLAGS": flags})
    assert "rank 0 -> cpu:0, rank 1 -> cpu:1" in device.log
    assert all(largest_difference(*both) < TIGHT for both in zip(found, expected, strict=True))


def test_more_ranks_than_atoms(run_lammps, tmp_path):
    """Three of four ranks have no atom."""
    write_model(tmp_path / "x.model", make_model())
    script = """
units metal
region box block 0 40 0 40 0 40
create_box 1 box
create_atoms 1 single 2 2 2
create_atoms 1 single 4 2 3
mass 1 28
pair_style mliap unified x.model 0
pair_coeff * * Si
thermo_style custom step pe press
thermo_modify format float %.15g
run 2
"""
    runs = [run_lammps(script, 4, {PATH: path}) for path in "01"]
    assert runs[0].thermo()[-1]["PotEng"] != 0.0
    host, device = ([list(row.values()) for row in run.thermo()] for run in runs)
    assert device == [pytest.approx(row, rel=TIGHT) for row in host]


def test_a_committee(run_lammps, tmp_path):
    """Deviations of members with other cutoffs, one with charges, on two ranks."""
    info = {"total_charge_set": [0], "long_range_cutoff_angstrom": 5.0}
    charged = make_model(seed=1, info=info, use_coulomb_term=True, total_charge=0)
    write_model(tmp_path / "a.model", make_model())
    write_model(tmp_path / "b.model", charged)
    lines = []
    for path in "01":
        style = "pair_style mliap unified a.model b.model 0 committee drive mean deviation "
        script = ATOMS + style + f"d{path}.txt every 2\npair_coeff * * Si O O\n"
        done = run_lammps(script + "fix 1 all nve\nrun 4\n", 2, {PATH: path})
        assert done.returncode == 0, done.out
        lines.append(np.loadtxt(tmp_path / f"d{path}.txt"))
    host, device = lines
    assert host.shape == (3, 8)
    assert device == pytest.approx(host, rel=1e-10)


def test_close_pairs_are_the_first_members(run_lammps, tmp_path):
    """Another member that has the same pairs calls none of them close."""
    wide = {"graph_cutoff_angstrom": 5.0}
    write_model(tmp_path / "a.model", make_model(info={**wide, "avg_r_min_angstrom": 4.4}))
    write_model(tmp_path / "b.model", make_model(seed=1, info=wide))
    style = "pair_style mliap unified a.model b.model 0 committee drive mean deviation d every 1\n"
    run = run_lammps(ATOMS + style + "pair_coeff * * Si O O\nrun 1\n", 1, {PATH: "1"})
    assert run.returncode == 0, run.out
    assert "times in this run two atoms were closer than 2.2 Angstrom" in run.log


def test_atoms_in_one_place(run_lammps, tmp_path):
    write_model(tmp_path / "x.model", make_model())
    place = "displace_atoms all random 0.2 0.2 0.2 17\n"
    script = ATOMS.replace(
        place, place + "create_atoms 1 single 1 1 1\ncreate_atoms 1 single 1 1 1\n"
    )
    model = "pair_style mliap unified x.model 0\npair_coeff * * Si O O\nrun 0\n"
    run = run_lammps(script + model, 2, {PATH: "1"})
    assert run.returncode != 0
    assert "and another atom are in the same place: remove one" in run.log


def test_forces_that_are_no_numbers(run_lammps, tmp_path, patch):
    write_model(tmp_path / "x.model", make_model())
    spoil = "compute = self.compute\n\ndef spoiled(step):\n    energy = compute(step)\n"
    spoil += "    step.list.forces[3] = float('nan')\n    return energy\n\nself.compute = spoiled"
    model = "pair_style mliap unified x.model 0\npair_coeff * * Si O O\nrun 0\n"
    run = run_lammps(ATOMS + model, 2, {PATH: "1", **patch(spoil)})
    assert run.returncode != 0
    assert re.search(r"non-finite force on atom ID \d+", run.log)


def test_neither_0_nor_1(run_lammps, tmp_path):
    write_model(tmp_path / "x.model", make_model())
    run = run_lammps(ATOMS + "pair_style mliap unified x.model 0\n", 1, {PATH: "yes"})
    assert run.returncode != 0
    assert "LAMMPS_MACE_DEVICE_PATH='yes': set it to 1 (neighbour lists stay" in run.log
