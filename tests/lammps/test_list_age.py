"""Neighbour lists that are too old for the model end the run; those that LAMMPS makes suffice."""

import pytest

STYLE = "pair_style mliap unified lj.model 0\npair_coeff * * Ar\n"
# Two atoms out of reach; one flies towards the other, or the box shrinks around them.
TWO_ATOMS = """
clear
units metal
boundary {x} p p
region box block -12 12 0 20 0 20
create_box 1 box
create_atoms 1 single {first} 10 10
create_atoms 1 single {second} 10 10
mass 1 40
group flying id 2
velocity flying set {velocity} 0 0
velocity all set 0 0 0 sum yes
neighbor 0.3 bin
thermo_style custom step pe
thermo_modify norm no
fix 1 all nve
timestep 0.01
"""
FLYING = TWO_ATOMS.format(x="f", first=-4, second=4, velocity=-20) + STYLE
SHRINKING = TWO_ATOMS.format(x="p", first=-9, second=9, velocity=0) + STYLE
SHRINKING += "fix 2 all deform 1 x vel -20 remap none\n"
RARELY = {
    "check no": "neigh_modify every 100 delay 0 check no\n",
    "delay": "neigh_modify every 100 delay 100 check yes\n",
    "once": "neigh_modify once yes\n",
}
REMEDY = "neigh_modify every 1 delay 0 check yes once no\n"


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize(
    ("start", "words"),
    [
        (FLYING, "atom ID 2 has moved 0.4, another 0 and the box 0 Angstrom"),
        (SHRINKING, "another 0 and the box 0.4 Angstrom, together more than the 0.3 that lists"),
    ],
    ids=["flying", "shrinking"],
)
def test_old_lists_end_the_run(run_lammps, classical, start, words, ranks):
    """On one rank every atom has a row: only how far it moved tells that a pair may be missing."""
    env = classical(cutoff=5.0)
    for rarely in RARELY.values() if ranks == 1 else [RARELY["check no"]]:
        run = run_lammps(start + rarely + "run 25\n", ranks, env, timeout=60)
        assert run.returncode != 0
        [line] = [line for line in run.log.splitlines() if line.startswith("ERROR")]
        assert words in line
        assert f"write `{REMEDY.strip()}`" in line
    if start == SHRINKING:  # LAMMPS makes no lists where no atom moves at all
        still = run_lammps(start + REMEDY + "run 25\n", ranks, env, timeout=60)
        assert f"write `{REMEDY.strip().replace('yes', 'no')}`" in still.log
    often = run_lammps(start.replace("set 0 0 0", "set 1e-3 0 0") + REMEDY + "run 25\n", ranks, env)
    assert often.returncode == 0, often.out
    assert abs(often.thermo()[-1]["PotEng"]) > 1e-5  # the pair that would be missing


def test_lists_that_are_old_enough(run_lammps, classical):
    """Control: atoms that move less than the skin, also in a box that changes."""
    slow = TWO_ATOMS.format(x="p", first=-2.4, second=2.4, velocity=-1) + STYLE
    slow += "fix 2 all deform 1 x vel -0.5 remap none\n"
    runs = ["neigh_modify every 10 delay 0 check no\nrun 30\n", REMEDY + "run 30\n"]
    run = run_lammps("".join(slow + more for more in runs), 2, classical(cutoff=5.0))
    assert run.returncode == 0, run.out
    rarely, often = (run.thermo()[k] for k in (1, 3))
    assert rarely["PotEng"] == pytest.approx(often["PotEng"], rel=1e-9)
    assert rarely["PotEng"] != pytest.approx(run.thermo()[0]["PotEng"], rel=1e-3)


ARGON = """
clear
units metal
lattice fcc 5.4
region box block 0 3 0 3 0 4
create_box 2 box
create_atoms 1 box
set type 1 type/fraction 2 0.5 123
mass * 39.95
displace_atoms all random 0.15 0.15 0.15 4711 units box
group some id 1:20
thermo_style custom step pe press
pair_style mliap unified lj.model 0
pair_coeff * * Ar Ar
"""
DIGITS = "thermo_modify format float %.16g\n"
# What shares or shapes lists, and leaves nothing out.
HARMLESS = {
    "nothing": "",
    "nsq": "neighbor 2.0 nsq\n",
    "multi": "neighbor 2.0 multi\ncomm_modify mode multi\n",
    "binsize": "neigh_modify binsize 1.3\n",
    "first": "atom_modify sort 0 0\natom_modify first some\n",
    "sort": "atom_modify sort 1 2.0\n",
    "rdf": "comm_modify cutoff 9\ncompute r all rdf 10 cutoff 6.5\nfix r all ave/time 1 1 1 c_r[*]"
    " mode vector\n",
    "coordination": "compute c all coord/atom cutoff 3\ncompute m all reduce sum c_c\n"
    "thermo_style custom step pe press c_m\n",
    "cluster": "compute c all cluster/atom 4\ncompute m all reduce max c_c\n"
    "thermo_style custom step pe press c_m\n",
    "overlay": "pair_style hybrid/overlay mliap unified lj.model 0 zero 8.0 zero 3.0\n"
    "pair_coeff * * mliap Ar Ar\npair_coeff * * zero 1 8.0\npair_coeff * * zero 2 3.0\n",
}


@pytest.mark.parametrize("ranks", [1, 2])
def test_what_shares_a_list_leaves_nothing_out(run_lammps, classical, ranks):
    script = "".join(ARGON + commands + DIGITS + "run 0\n" for commands in HARMLESS.values())
    run = run_lammps(script, ranks, classical(cutoff=5.0))
    assert run.returncode == 0, run.out[-2000:]
    rows = run.thermo()
    for name, row in zip(HARMLESS, rows, strict=True):
        for column in ("PotEng", "Press"):
            assert row[column] == pytest.approx(rows[0][column], rel=1e-10), name


def test_lists_that_overflow(run_lammps, classical):
    """LAMMPS says so itself."""
    script = ARGON + "neigh_modify one 20 page 200\nrun 0\n"
    run = run_lammps(script, 1, classical(cutoff=5.0))
    assert run.returncode != 0
    assert "Neighbor list overflow" in run.out
