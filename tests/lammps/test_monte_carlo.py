"""Fixes that add, remove and change atoms: final energies, and averages that are known exactly."""

import math
import os

import numpy as np
import pytest
from left_over import assert_plain, dump
from small import make_model, write_model

from lammps_mace.evaluation import Evaluator

ELEMENTS = ["O", "Si"]
ISOLATED = {"O": -1.9, "Si": 0.6}  # eV: E0 and the mean that is added, of tests/support/small.py
BOLTZMANN, PLANCK = 8.617333262e-5, 4.135667403e-3  # eV/K, eV ps, as in LAMMPS's units metal
MASS, MASS_UNIT = 20.0, 1.0364269e-4  # g/mol, eV ps^2/Å^2
KT = BOLTZMANN * 10000

CRYSTAL = """
clear
units metal
atom_style {style}
atom_modify map yes
newton on
special_bonds lj/coul 1 1 1
lattice diamond 5.43
region box block 0 2 0 2 0 {height}
region solid block 0 2 0 2 0 2
create_box 2 box
create_atoms 2 region solid
set type 2 type/fraction 1 0.4 1234
mass * 20
displace_atoms all random 0.1 0.1 0.1 17 units box
pair_style mliap unified x.model 0
pair_coeff * * O Si
thermo_style custom step atoms pe
thermo_modify format float %.17g lost ignore
"""
SALT = "set type 1 charge 1\nset type 2 charge -1\n"
# Pairs of atoms, 1.6 Å apart, in the space above the crystal.
MOLECULES = "molecule pair pair.mol\ncreate_atoms 0 random 3 77 gap mol pair 99\n"
PAIR = """# two atoms

2 atoms

Coords

1 0 0 0
2 1.6 0 0

Types

1 1
2 2
"""
GAP = "region gap block 2 8 2 8 14 19 units box\n"
ABOVE = "region above block 0 2 0 2 2.5 3.4\n"
# Name: style of atoms, height of the box, and the commands. Molecules move on one rank only.
FIXES = {
    "gcmc": ("charge", 2, "fix m all gcmc 1 6 4 1 {seed} 9000 -12.4 0.3 full_energy\n"),
    "gcmc molecules": ("full", 4, GAP + MOLECULES
        + "group gas molecule > 0\n"
        "fix m gas gcmc 1 6 {moves} 0 {seed} 9000 0 0.5 mol pair region gap full_energy "
        "pressure 1e5\n"),
    "atom/swap": ("charge", 2, "fix m all atom/swap 1 8 {seed} 9000 ke no types 1 2\n"),
    "semi-grand": ("charge", 2,
        "fix m all atom/swap 1 8 {seed} 9000 ke no semi-grand yes types 1 2 mu 0 1\n"),
    "widom": ("charge", 2, "fix m all widom 1 3 1 {seed} 3000 full_energy\n"),
    "charge/regulation": ("charge", 2, SALT
        + "fix m all charge/regulation 1 2 nevery 1 nmc 6 seed {seed} temp 9000 tag yes "
        "pIp 0 pIm 0 lunit_nm 0.1\n"),
    "deposit": ("charge", 4, ABOVE
        + "fix m all deposit 6 1 1 {seed} region above near 1.0 vz -5 -5 units box\n"),
    "evaporate": ("charge", 4, "region top block 0 2 0 2 1 2\n"
        "fix m all evaporate 1 2 top {seed}\n"),
    "sgcmc": ("charge", 2, "fix m all sgcmc 1 0.2 9000 0.3 randseed {seed} window_size 0.9\n"),
}  # fmt: skip
ONE_RANK = ("sgcmc",)  # on several, it adds up the changes that all ranks make at once


@pytest.fixture
def model(tmp_path):
    """Write a model of one layer, pair.mol; return the plain evaluation."""
    made = make_model(num_layers=2, num_channels=2, l_max=1)
    write_model(tmp_path / "x.model", made)
    (tmp_path / "pair.mol").write_text(PAIR)
    return Evaluator(made)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_what_is_left_has_its_energy(run_lammps, model, ranks):
    names = [name for name in FIXES if ranks == 1 or name not in ONE_RANK]
    script = ""
    for name in names:
        style, height, commands = FIXES[name]
        file = name.replace("/", "_").replace(" ", "_")
        script += CRYSTAL.format(style=style, height=height) + commands.format(
            seed=4711, moves=0 if ranks > 1 else 6
        )
        script += dump(file) + "fix move all nve\ntimestep 0.0005\nrun 6\n"
    run = run_lammps(script, ranks, timeout=600)
    assert run.returncode == 0, run.out[-1500:]
    tables = table_ends(run)
    assert len(tables) == len(names)
    for name, row in zip(names, tables, strict=True):
        file = name.replace("/", "_").replace(" ", "_")
        atoms = assert_plain(run, file, model, ELEMENTS, row["PotEng"])
        assert len(atoms) == row["Atoms"]


def table_ends(run):
    """Return the last row of each run."""
    rows = run.thermo()
    return [
        row for row, after in zip(rows, [*rows[1:], {"Step": 0}], strict=True) if after["Step"] == 0
    ]


# Atoms that do not interact: averages are known, if each counts with its energy and a hidden one
# with none.
GAS = """
clear
units metal
atom_style full
atom_modify map yes
newton on
special_bonds lj/coul 1 1 1
region box block 0 20 0 20 0 20
create_box 2 box
mass * 20
pair_style mliap unified gas.model 0
pair_coeff * * O Si
molecule pair pair.mol
{atoms}
set type 1 charge 1
set type 2 charge -1
thermo_modify lost ignore
variable first atom type==1
compute first all reduce sum v_first
variable n equal {count}
fix m all {fix}
fix mean all ave/time 1 {steps} {steps} v_n
run {steps} post no
print "MEAN $(f_mean)"
"""
STEPS = int(os.environ.get("LAMMPS_MACE_TEST_STEPS", "60"))
MEAN, VOLUME = 5.0, 20.0**3
OXYGEN, SILICON = 1.5, 2.5  # eV, of an atom
PART = 1 / (1 + math.exp((SILICON - OXYGEN) / KT))  # of the atoms that are Si


def mu(mean, energy, mass):
    """Return the chemical potential that gives a mean number of particles, eV."""
    squared = PLANCK**2 / (2 * math.pi * mass * MASS_UNIT * KT)
    return energy + KT * math.log(mean * squared**1.5 / VOLUME)


def salt(activity):
    """Return the mean number of pairs: their numbers n have weights (activity^n / n!)^2."""
    n = np.arange(60)
    weights = (activity**n / np.array([math.factorial(k) for k in n], float)) ** 2
    return (n * weights).sum() / weights.sum()


# Charge regulation counts in moles per litre.
REGULATED = -math.log10(MEAN * math.exp((OXYGEN + SILICON) / 2 / KT) / (VOLUME * 1e-3 * 0.602214))
# Name: the atoms, what is counted, the fix, the mean of the count and its standard deviation.
IDEAL = {
    "gcmc": ("create_atoms 2 random 5 99 box", "atoms",
        f"gcmc 1 20 0 2 4711 10000 {mu(MEAN, SILICON, 20)} 0 full_energy", MEAN, MEAN**0.5),
    "gcmc, twice as many": ("create_atoms 2 random 5 99 box", "atoms",
        f"gcmc 1 20 0 2 4711 10000 {mu(2 * MEAN, SILICON, 20)} 0 full_energy", 2 * MEAN, 10**0.5),
    "gcmc molecules": ("create_atoms 0 random 5 99 box mol pair 7", "atoms/2",
        f"gcmc 1 20 0 0 4711 10000 {mu(MEAN, 0, 40)} 0 mol pair full_energy "
        f"intra_energy {OXYGEN + SILICON}", MEAN, MEAN**0.5),
    "semi-grand": ("create_atoms 1 random 20 99 box", "20-c_first",
        "atom/swap 1 20 4711 10000 ke no semi-grand yes types 1 2 mu 0 0", 20 * PART,
        (20 * PART * (1 - PART)) ** 0.5),
    "charge/regulation": ("create_atoms 1 random 5 99 box\ncreate_atoms 2 random 5 98 box",
        "atoms/2", f"charge/regulation 1 2 nevery 1 nmc 20 seed 4711 temp 10000 pIp {REGULATED} "
        f"pIm {REGULATED} lunit_nm 0.1", salt(MEAN), 1.6),
    "widom": ("create_atoms 2 random 5 99 box", "f_m[1]",
        "widom 1 3 2 4711 10000 full_energy", SILICON, 1e-9),
}  # fmt: skip
SEVERAL_RANKS = ("gcmc molecules", "charge/regulation", "widom")


@pytest.mark.parametrize("ranks", [1, 2])
def test_ideal_gases(run_lammps, tmp_path, ranks):
    """Numbers of particles: some sixty independent samples of each. LAMMPS itself draws alike."""
    energies = {8: OXYGEN - 0.1, 14: SILICON - 0.1}
    info = {"atomic_energies_map": energies, "scaling_stdev": 1e-12}
    write_model(tmp_path / "gas.model", make_model(num_channels=2, l_max=1, info=info))
    (tmp_path / "pair.mol").write_text(PAIR)
    steps = STEPS // ranks
    script, names = "", IDEAL if ranks == 1 else SEVERAL_RANKS
    for atoms, count, fix, _, _ in map(IDEAL.get, names):
        script += GAS.format(atoms=atoms, count=count, fix=fix, steps=steps)
    run = run_lammps(script, ranks, timeout=60 + 10 * STEPS)
    assert run.returncode == 0, run.out[-1500:]
    found = [float(line.split()[1]) for line in run.log.splitlines() if line.startswith("MEAN")]
    print(dict(zip(names, found, strict=True)))
    for name, got in zip(names, found, strict=True):
        *_, mean, deviation = IDEAL[name]
        assert abs(got - mean) < 4 * deviation / steps**0.5, (name, got, mean)
