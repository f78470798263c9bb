"""The pair style with a known potential behind it, against lj/cut and numerical derivatives."""

import numpy as np
import pytest
from results import OUTPUT, RELATIVE, assert_same, results

# Central differences: the error of the truth, not ours.
NUMERICAL = 1e-5

CUTOFF = 8.5
MLIAP = "pair_style mliap unified lj.model 0\npair_coeff * * Ar\n"
LJ = f"pair_style lj/cut {CUTOFF}\npair_modify shift yes\npair_coeff * * 0.0104 3.4\n"
# One fcc cell: every atom sees its own images, and lies many times among its neighbours.
TINY = """
units metal
atom_modify map yes
lattice fcc 5.4
region box block 0 1 0 1 0 1
create_box 1 box
create_atoms 1 box
mass 1 39.95
displace_atoms all random 0.15 0.15 0.15 4711
"""
TRICLINIC = """
units metal
boundary p p s
lattice fcc 5.4
region box prism 0 16.2 0 16.2 0 16.2 4 -3 2 units box
create_box 1 box
create_atoms 1 box
mass 1 39.95
displace_atoms all random 0.15 0.15 0.15 4711
"""
# Atoms in one corner only: of 4 ranks along x, three own nothing.
CORNER = """
units metal
boundary f f f
processors * 1 1
lattice fcc 5.4
region box block 0 16 0 4 0 4
region corner block 0.25 2.25 0.25 2.25 0.25 2.25
create_box 1 box
create_atoms 1 region corner
mass 1 39.95
displace_atoms all random 0.15 0.15 0.15 4711
"""
SYSTEMS = {"tiny": TINY, "triclinic": TRICLINIC, "corner": CORNER}


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("system", ["argon", *SYSTEMS])
def test_lennard_jones_equals_lj_cut(run_lammps, prepare, classical, argon, system, ranks):
    start = prepare(SYSTEMS.get(system, argon))
    env = classical(cutoff=CUTOFF)
    truth = results(run_lammps(start + LJ + OUTPUT + "run 0\n"))
    ours = results(run_lammps(start + MLIAP + OUTPUT + "run 0\n", ranks, env))
    assert_same(ours, truth)


def test_the_comparison_notices_another_cutoff(run_lammps, classical, argon):
    """Control: the tolerance above is tight enough to see a changed potential."""
    env = classical(cutoff=CUTOFF + 0.1)
    truth = results(run_lammps(argon + LJ + OUTPUT + "run 0\n"))
    ours = results(run_lammps(argon + MLIAP + OUTPUT + "run 0\n", 1, env))
    with pytest.raises(AssertionError):
        assert_same(ours, truth)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_dynamics_equal_lj_cut(run_lammps, prepare, classical, argon, ranks):
    """Atoms migrate between ranks and lists are rebuilt."""
    start = prepare(argon)
    run = OUTPUT + "velocity all create 600 7\nfix 1 all nve\nneigh_modify every 1\nrun 40\n"
    env = classical(cutoff=CUTOFF)
    truth = results(run_lammps(start + LJ + run))
    ours = run_lammps(start + MLIAP + run, ranks, env)
    assert "Neighbor list builds = 0" not in ours.log
    assert_same(results(ours), truth, 1e-6)  # chaos amplifies rounding


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_hybrid_leaves_null_types_to_the_other_style(run_lammps, prepare, classical, argon, ranks):
    start = argon.replace("create_box 1", "create_box 2").replace("mass 1", "mass *")
    start += "set type 1 type/fraction 2 0.3 99\n"
    start = prepare(start)
    hybrid = f"pair_style hybrid mliap unified lj.model 0 lj/cut {CUTOFF}\npair_modify shift yes\n"
    hybrid += "pair_coeff * * mliap Ar NULL\npair_coeff 1*2 2 lj/cut 0.0104 3.4\n"
    truth = results(run_lammps(start + LJ + OUTPUT + "run 0\n"))
    ours = results(run_lammps(start + hybrid + OUTPUT + "run 0\n", ranks, classical(cutoff=CUTOFF)))
    assert_same(ours, truth)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_hybrid_overlay_and_scaled_add_up(run_lammps, prepare, classical, argon, ranks):
    start = prepare(argon)
    overlay = (
        f"pair_style hybrid/overlay mliap unified lj.model lj/cut {CUTOFF}\npair_modify shift yes\n"
    )
    overlay += "pair_coeff * * mliap Ar\npair_coeff * * lj/cut 0.0104 3.4\n"
    atoms, thermo = results(run_lammps(start + LJ + OUTPUT + "run 0\n"))
    doubled = 2 * atoms, {name: 2 * value for name, value in thermo.items()}
    ours = results(
        run_lammps(start + overlay + OUTPUT + "run 0\n", ranks, classical(cutoff=CUTOFF))
    )
    assert_same(ours, doubled)


TWO_HOPS = {"cutoff": 5.0, "hops": 2}
NUMDIFF = """
fix n all numdiff 1 1e-4
fix v all numdiff/virial 1 1e-4
dump d all custom 1 dump.txt id fx fy fz f_n[1] f_n[2] f_n[3]
dump_modify d format float %.16g
thermo_style custom step pe pxx pyy pzz pyz pxz pxy f_v[1] f_v[2] f_v[3] f_v[4] f_v[5] f_v[6]
thermo_modify format float %.16g norm no
run 0
"""


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("start", [TINY, TINY.replace("0 1 0 1 0 1", "0 2 0 1 0 2")])
def test_two_hop_forces_and_virial_are_derivatives(run_lammps, prepare, classical, start, ranks):
    run = run_lammps(prepare(start) + MLIAP + NUMDIFF, ranks, classical(**TWO_HOPS))
    assert run.returncode == 0, run.out
    atoms = run.dump()
    forces = np.array([[atom[f"f{c}"] for c in "xyz"] for atom in atoms])
    numerical = np.array([[atom[f"f_n[{c}]"] for c in (1, 2, 3)] for atom in atoms])
    np.testing.assert_allclose(forces, numerical, rtol=0, atol=NUMERICAL * np.abs(forces).max())
    thermo = run.thermo()[-1]
    pressure = np.array([thermo[name] for name in ("Pxx", "Pyy", "Pzz", "Pyz", "Pxz", "Pxy")])
    numerical = np.array([thermo[f"f_v[{k}]"] for k in range(1, 7)])
    np.testing.assert_allclose(pressure, numerical, rtol=0, atol=NUMERICAL * np.abs(pressure).max())


@pytest.mark.parametrize("layout", ["", "comm_style tiled\nbalance 1.0 rcb\n"])
@pytest.mark.parametrize(
    ("dtype", "pad", "tolerance"), [("float64", 0, RELATIVE), ("float32", 2, 1e-5)]
)
@pytest.mark.parametrize("ranks", [2, 4])
def test_exchange_gives_what_one_rank_gives(
    run_lammps, prepare, classical, argon, layout, dtype, pad, tolerance, ranks
):
    """One rank maps ghosts to owners, several exchange; odd float32 rows half fill a double."""
    start = prepare(argon)
    script = start + layout + MLIAP + OUTPUT + "run 0\n"
    env = classical(**TWO_HOPS)
    truth = results(run_lammps(start + MLIAP + OUTPUT + "run 0\n", 1, env))
    env = classical(**TWO_HOPS, dtype=dtype, pad=pad)
    assert_same(results(run_lammps(script, ranks, env)), truth, tolerance)


@pytest.mark.parametrize("ranks", [1, 2])
def test_exchange_in_tiny_box_and_hybrid(run_lammps, prepare, classical, ranks):
    """Hybrid reads comm_forward at pair_style; a ghost may be the image of an image."""
    start = prepare(TINY)
    hybrid = "pair_style hybrid/overlay zero 5.0 mliap unified lj.model\npair_coeff * * zero\n"
    hybrid += "pair_coeff * * mliap Ar\n"
    env = classical(**TWO_HOPS, pad=7)
    truth = results(run_lammps(start + MLIAP + OUTPUT + "run 0\n", 1, env))
    assert_same(results(run_lammps(start + hybrid + OUTPUT + "run 0\n", ranks, env)), truth)


def test_report_is_printed_after_each_run(run_lammps, classical, argon):
    env = classical(cutoff=4.0, report="model was asked")
    run = run_lammps(argon + MLIAP + "run 0\nrun 1\n", 2, env)
    assert run.log.count("model was asked\n") == 2
    assert run.out.count("model was asked\n") == 2


def test_two_models_and_clear_in_one_script(run_lammps, classical, argon):
    env = classical(cutoff=CUTOFF)
    one = argon + MLIAP + "thermo_style custom step pe\nrun 0\n"
    again = "pair_style mliap unified lj.model\npair_coeff * * Ar\nrun 0\npair_style none\n"
    run = run_lammps(one + again + LJ + "run 0\nclear\n" + one, 2, env)
    energies = [row["PotEng"] for row in run.thermo()]
    assert len(energies) == 4
    assert energies == pytest.approx([energies[0]] * 4, rel=1e-8)
