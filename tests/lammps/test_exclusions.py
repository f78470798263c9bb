"""Atoms that LAMMPS hides are not there; pairs that it leaves out are refused."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from left_over import assert_plain, dump
from small import make_model, write_model

import lammps_mace
from lammps_mace.evaluation import Evaluator

EXAMPLES = Path(__file__).parents[2] / "examples"
ELEMENTS = ["O", "Si", "Si"]
LONG_RANGE = {"long_range_cutoff_angstrom": 6.0, "total_charge_set": [0, 2]}

# 64 atoms of two elements and three types, and one that is far from all others.
ATOMS = """
units metal
boundary p p p
atom_style charge
atom_modify map yes
newton on
lattice diamond 5.43
region box block 0 2 0 2 0 4
region solid block 0 2 0 2 0 1.99
create_box 3 box
create_atoms 2 region solid
set type 2 type/fraction 1 0.4 1234
set type 2 type/fraction 3 0.2 4321
create_atoms 1 single 5 5 16.3 units box
mass * 20
displace_atoms all random 0.2 0.2 0.2 17 units box
"""
STYLE = "pair_style mliap unified {model}.model 0\npair_coeff * * O Si Si\n"
HALF = "region half block 0 1 0 2 0 4\ngroup gone region half\n"
# What makes the group `gone`, the model, and the commands that hide it.
HIDDEN = {
    "nobody": ("group gone empty\n", "x", ""),
    "group": ("group gone id 5 9 30\n", "x", "neigh_modify exclude group gone all\n"),
    "all group": ("group gone id 5 9 30\n", "x", "neigh_modify exclude group all gone\n"),
    "half": (HALF, "x", "neigh_modify exclude group gone all\n"),
    "type": ("group gone type 3\n", "x",
        "neigh_modify exclude type 3 1 exclude type 2 3 exclude type 3 3\n"),
    "include": (HALF + "group seen subtract all gone\natom_modify first seen\n", "x",
        "neigh_modify include seen\n"),
    "pairs of hidden atoms": ("group gone id 5 9 30\n", "x",
        "neigh_modify exclude group gone all exclude group gone gone\n"),
    "charges": ("group gone id 5 9 30\n", "q", "neigh_modify exclude group gone all\n"),
}  # fmt: skip
CHARGES = (
    "compute q all property/atom q\ncompute qs all reduce sum c_q\ncompute qg gone reduce sum c_q\n"
    "set group all charge 0.5\n"
    "thermo_style custom step pe ecoul press c_qs c_qg\nthermo_modify format float %.16g\n"
)


@pytest.fixture
def models(tmp_path):
    """Write x.model and, with a Coulomb sum, q.model; return their plain evaluations."""
    plain = make_model()
    charged = make_model(info=LONG_RANGE, total_charge=2, use_coulomb_term=True)
    charged = dataclasses.replace(charged, write_charges=True)
    write_model(tmp_path / "x.model", plain)
    write_model(tmp_path / "q.model", charged)
    return {"x": Evaluator(plain), "q": Evaluator(charged)}


def hidden_and_deleted():
    """Return one script: in each case atoms are hidden, then they are deleted instead."""
    parts = []
    for name, (group, model, hide) in HIDDEN.items():
        left = "group left subtract all gone\n" + STYLE.format(model=model) + CHARGES
        file = name.replace(" ", "_")
        parts.append("clear\n" + ATOMS + group + left + dump(file, "left") + hide + "run 0\n")
        parts.append("clear\n" + ATOMS + group + left + "delete_atoms group gone\nrun 0\n")
    return "".join(parts)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_a_hidden_atom_is_not_there(run_lammps, models, ranks):
    run = run_lammps(hidden_and_deleted(), ranks)
    assert run.returncode == 0, run.out
    pairs = list(zip(run.thermo()[::2], run.thermo()[1::2], strict=True))
    assert len(pairs) == len(HIDDEN)
    for (name, (_, model, _)), (hidden, deleted) in zip(HIDDEN.items(), pairs, strict=True):
        for column in ("PotEng", "E_coul", "Press"):
            assert hidden[column] == pytest.approx(deleted[column], rel=1e-9), (name, column)
        file = name.replace(" ", "_")
        atoms = assert_plain(run, file, models[model], ELEMENTS, hidden["PotEng"])
        assert len(atoms) < 65 or name == "nobody"
        if model == "q":
            assert (hidden["c_qs"], hidden["c_qg"]) == pytest.approx((2.0, 0.0), abs=1e-9)
    # The control: without a pair, as a hidden atom is, but there: -2 * 1 + 0.1 eV.
    assert run.dump("nobody.dump")[-1]["c_e"] == pytest.approx(-1.9)


SILICON = """
units metal
atom_modify map yes
lattice diamond 5.431
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 28.0855
pair_style mliap unified e0.model 0
pair_coeff * * Si
thermo_style custom step pe
thermo_modify format float %.8f
group gone id 64
neigh_modify exclude group gone all
run 0
neigh_modify exclude none
delete_atoms group gone compress no
run 0
"""
NACL = """
clear
units metal
atom_style charge
atom_modify map yes
lattice custom 5.64 a1 1 0 0 a2 0 1 0 a3 0 0 1 basis 0 0 0 basis 0 0 0.5 basis 0 0.5 0 &
  basis 0 0.5 0.5 basis 0.5 0 0 basis 0.5 0 0.5 basis 0.5 0.5 0 basis 0.5 0.5 0.5
region box block 0 2 0 2 0 2
create_box 2 box
create_atoms 1 box basis 1 1 basis 2 2 basis 3 2 basis 4 1 basis 5 2 basis 6 1 basis 7 1 basis 8 2
mass * 30
displace_atoms all random 0.1 0.1 0.1 3 units box
pair_style mliap unified nacl.model 0
pair_coeff * * Na Cl
thermo_style custom step pe ecoul
thermo_modify format float %.8f
group gone id 63 64
neigh_modify exclude group gone all
run 0
neigh_modify exclude none
delete_atoms group gone compress no
run 0
"""


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_the_examples(run_lammps, tmp_path, ranks):
    """In float32, with silicon's isolated atom at -2 eV: hidden, it would add that much."""
    model = lammps_mace.load_model(EXAMPLES / "silicon" / "silicon.model")
    info = model.dataset_info.model_copy(update={"atomic_energies_map": {14: -2.0}})
    lammps_mace.save_model(tmp_path / "e0.model", model.config, info, model.params)
    for file in (EXAMPLES / "ionic").glob("nacl.*"):
        shutil.copy(file, tmp_path)
    run = run_lammps(SILICON + NACL, ranks)
    assert run.returncode == 0, run.out
    hidden, deleted, *ions = run.thermo()
    assert hidden["PotEng"] == pytest.approx(-394.928909, abs=2e-4)
    assert deleted["PotEng"] == pytest.approx(hidden["PotEng"], abs=1e-4)
    for row in ions:
        assert row["PotEng"] == pytest.approx(-247.168, abs=1e-3)
        assert row["E_coul"] == pytest.approx(0.0304, abs=1e-4)
    assert len(ions) == 2


# Pairs that are left out.
ARGON = """
units metal
atom_style molecular
special_bonds lj/coul 1 1 1
lattice fcc 5.4
region box block 0 3 0 3 0 2
create_box 3 box
create_atoms 1 box
set type 1 type/fraction 2 0.5 123
mass * 39.95
displace_atoms all random 0.15 0.15 0.15 4711 units box
region left block 0 1 0 3 0 2
region right block 2 3 0 3 0 2
group left region left
group right region right
group nobody subtract left left
"""
MLIAP = "pair_style mliap unified lj.model 0{option}\npair_coeff * * Ar Ar Ar\n"
HYBRID = (
    "pair_style hybrid{kind} mliap unified lj.model 0{option} lj/cut 5.0\n"
    "pair_coeff * * mliap Ar Ar Ar\n"
)
INSTEAD = ["`neigh_modify exclude none`", "setforce", "neigh_modify exclude group ID all"]
ALLOW = "add `exclusions allow` to the pair_style command"
# Each: the pair style, commands, and words of the reason.
LEFT_OUT = {
    "frozen": (MLIAP, "neigh_modify exclude group left left\n",
        ["`neigh_modify exclude group left left`", ALLOW, *INSTEAD]),
    "two groups": (MLIAP, "neigh_modify exclude group left right\n",
        ["`neigh_modify exclude group left right`", ALLOW, *INSTEAD]),
    "types": (MLIAP, "neigh_modify exclude type 2 1\n",
        ["`neigh_modify exclude type 2 1`", ALLOW, *INSTEAD]),
    "all types": (MLIAP, "neigh_modify exclude type 1 1 exclude type 1 2 exclude type 2 2 &\n"
        "exclude type 1 3 exclude type 2 3 exclude type 3 3\n",
        ["`neigh_modify exclude type 1 1`", ALLOW]),
    "all": (MLIAP, "neigh_modify exclude group all all\n",
        ["`neigh_modify exclude group all all` hides all atoms", *INSTEAD]),
    "within molecules": (MLIAP, "neigh_modify exclude molecule/intra left\n",
        ["`neigh_modify exclude molecule/intra left`", ALLOW]),
    "between molecules": (MLIAP, "set group left mol 1\nneigh_modify exclude molecule/inter all\n",
        ["`neigh_modify exclude molecule/inter all`", ALLOW]),
    "second run": (MLIAP, "run 0\nneigh_modify exclude group left left\n",
        ["`neigh_modify exclude group left left`", ALLOW]),
    "hybrid": (HYBRID.format(kind="", option="{option}"), "pair_coeff 1 2 lj/cut 0.01 3.4\n",
        ["`pair_coeff 1 2 ...` of pair_style hybrid", "pair_style hybrid/overlay", ALLOW]),
    "hybrid, a type": (HYBRID.format(kind="", option="{option}"),
        "pair_coeff 1 * lj/cut 0.01 3.4\n",
        ["`pair_coeff 1 1 ...` of pair_style hybrid", "write NULL", ALLOW]),
    "ghosts": (MLIAP, "atom_modify first left\ncomm_modify group left\n",
        ["`comm_modify group left` leaves out ghosts", "write `comm_modify group all`"]),
}  # fmt: skip
HARMLESS = {
    "empty groups": (MLIAP, "neigh_modify exclude group nobody left\n"),
    "a type without atoms": (MLIAP, "neigh_modify exclude type 3 3 exclude type 1 3\n"),
    "one molecule": (MLIAP, "set group all mol 1\nneigh_modify exclude molecule/inter all\n"),
    "atoms of another style": (
        HYBRID.format(kind="", option="").replace("Ar Ar Ar", "Ar NULL Ar"),
        "pair_coeff * 2 lj/cut 0.01 3.4\npair_coeff 2 3 lj/cut 0.01 3.4\n"
        "neigh_modify exclude type 1 2 exclude type 2 2\n"),
    "overlay": (HYBRID.format(kind="/overlay", option=""), "pair_coeff 1 2 lj/cut 0.01 3.4\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_OUT)
def test_pairs_left_out_are_refused(run_lammps, classical, name):
    style, commands, words = LEFT_OUT[name]
    script = ARGON + style.format(option="") + commands + "run 5\n"
    run = run_lammps(script, 2, classical(cutoff=5.0), timeout=60)
    assert run.returncode != 0
    [line] = [line for line in run.log.splitlines() if line.startswith("ERROR")]
    for word in ["needs all its pairs", *words]:
        assert word in line, (word, line)
    assert len(run.thermo()) == commands.count("run 0")  # before the first step
    assert (ALLOW in line) == (name != "ghosts")


def test_pairs_that_cannot_be(run_lammps, classical):
    """Control: exclusions that concern no two atoms of the model."""
    parts = [
        f"clear\n{ARGON}{style.format(option='')}{more}run 0\n" for style, more in HARMLESS.values()
    ]
    run = run_lammps("".join(parts), 2, classical(cutoff=5.0))
    assert run.returncode == 0, run.out
    assert len(run.thermo()) == len(HARMLESS)


@pytest.mark.parametrize("name", ["frozen", "hybrid"])
def test_exclusions_allow_warns_once(run_lammps, classical, name):
    style, commands, words = LEFT_OUT[name]
    lj = "pair_style lj/cut 5.0\npair_modify shift yes\npair_coeff * * 0.0104 3.4\n"
    frozen = "run 0\nrun 0\n"
    script = ARGON + style.format(option=" exclusions allow") + commands + frozen
    if name == "frozen":
        script += lj + "run 0\n"
    run = run_lammps(script, 2, classical(cutoff=5.0))
    assert run.returncode == 0, run.out
    warnings = [
        line for line in run.log.splitlines() if "exclusions allow" in line and "WARN" in line
    ]
    assert len(warnings) == 1
    assert words[0] in warnings[0]
    energies = [row["E_pair"] for row in run.thermo()]
    assert energies[0] == energies[1]
    assert name == "hybrid" or energies[2] == pytest.approx(energies[0], rel=1e-9)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("exclusions maybe", "exclusions must be allow or refuse, got 'maybe'"),
        ("start_check no exclusions", "exclusions must be allow or refuse, got ''"),
        ("exclusion allow", "unknown option 'exclusion'"),
    ],
)
def test_options_are_checked(run_lammps, classical, option, words):
    run = run_lammps(ARGON + MLIAP.format(option=" " + option), 1, classical(cutoff=5.0))
    assert run.returncode != 0
    assert f"pair_style mliap unified: {words}: write `pair_style mliap unified FILE" in run.log


def test_atoms_beside_frozen_ones(run_lammps, models):
    """Their forces are the model's where frozen atoms are held; exclusions change them."""
    group = "region low block INF INF INF INF INF 4.0 units box\ngroup frozen region low\n"
    group += "group mobile subtract all frozen\n"
    held = STYLE.format(model="x") + "fix hold frozen setforce 0 0 0\n"
    left_out = STYLE.format(model="x").replace(".model 0", ".model 0 exclusions allow")
    left_out += "neigh_modify exclude group frozen frozen\n"
    columns = (
        "dump f mobile custom 1 {0}.txt id fx fy fz\ndump_modify f format float %.16g\nrun 0\n"
    )
    script = ATOMS + group + held + dump("all") + columns.format("held") + "clear\n"
    script += ATOMS + group + left_out + columns.format("left_out")
    run = run_lammps(script, 2)
    assert run.returncode == 0, run.out
    held, left_out = (
        np.array([[atom[f"f{axis}"] for axis in "xyz"] for atom in run.dump(f"{name}.txt")])
        for name in ("held", "left_out")
    )
    mobile = [atom["id"] for atom in run.dump("held.txt")]
    rows = run.dump("all.dump")
    truth = models["x"].evaluate(structure(run))
    index = [k for k, row in enumerate(rows) if row["id"] in mobile]
    scale = np.abs(truth.forces).max()
    assert np.abs(held - truth.forces[index]).max() < 1e-9 * scale
    assert np.abs(left_out - held).max() > 1e-3 * scale


def structure(run):
    """Return the atoms of all.dump for a plain evaluation."""
    import ase.io

    return ase.io.read(
        run.folder / "all.dump", format="lammps-dump-text", specorder=ELEMENTS, index=-1
    )


HANDLE = """
import ctypes
from lammps import lammps
from lammps_mace.coupling.mliap.lammps_handle import Lammps

lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
handle = Lammps(ctypes.cast(lmp.lmp, ctypes.c_void_p).value, lmp.lib)
lmp.commands_string('''{argon}pair_style lj/cut 5.0\npair_coeff * * 0.01 3.4\nrun 0''')
print("EXCLUDED", handle.exclusions())
for rule in ("group left nobody", "none"):
    lmp.command("neigh_modify exclude " + rule)
    lmp.command("run 0")
    print("EXCLUDED", handle.exclusions())
"""


def test_any_lammps_tells_whether_it_excludes():
    """What a model in LAMMPS's own ML-IAP asks; see test_other_lammps.py for what it does then."""
    command = [sys.executable, "-c", HANDLE.format(argon=ARGON)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = [line for line in out.splitlines() if line.startswith("EXCLUDED")]
    assert found == ["EXCLUDED False", "EXCLUDED True", "EXCLUDED False"]
