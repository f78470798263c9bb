"""What is allowed and rarely meant is said once: two models in an overlay, atoms too close."""

import re

ATOMS = """
units metal
lattice diamond 5.431
region box block 0 2 0 2 0 2
create_box 2 box
create_atoms 1 box
set atom 5 type 2
mass * 28.0855
"""
OVERLAY = "two models of a hybrid/overlay see the same atoms, and their energies add up"
CLOSE = "atoms are closer than 1.09 Angstrom"


def test_overlay(run_lammps, silicon):
    model = "mliap unified silicon.model 0"
    both = (
        f"pair_style hybrid/overlay {model} {model} zero 4.0\npair_coeff * * zero\n"
        "pair_coeff * * mliap 1 Si Si\npair_coeff * * mliap 2 {}\nrun 0\nrun 0\n"
    )
    for ranks in (1, 2):
        run = run_lammps(ATOMS + both.format("Si NULL"), ranks)
        assert run.returncode == 0, run.out
        assert run.log.count(OVERLAY) == 1
    apart = both.replace("mliap 1 Si Si", "mliap 1 Si NULL").format("NULL Si")
    run = run_lammps(ATOMS + apart)
    assert run.returncode == 0, run.out
    assert OVERLAY not in run.log
    alone = f"pair_style hybrid/overlay {model} zero 4.0\npair_coeff * * mliap Si Si\n"
    run = run_lammps(ATOMS + alone + "pair_coeff * * zero\nrun 0\n")
    assert run.returncode == 0, run.out
    assert OVERLAY not in run.log


def test_close_pairs(run_lammps, silicon):
    script = ATOMS + "pair_style mliap unified silicon.model 0\npair_coeff * * Si Si\n"
    move = "displace_atoms all move 0 0 0\nset atom 1 x {} y 0 z 0\nset atom 2 x 0 y 0 z 0\n"
    for ranks in (1, 2):
        run = run_lammps(script + move.format(1.08) + "run 0\nrun 1\n", ranks)
        assert run.returncode == 0, run.out
        assert run.log.count(CLOSE) == 1
        counts = re.findall(r"(\d+) times in this run two atoms were closer than 1.09", run.log)
        assert counts == ["1", "2"]
    run = run_lammps(script + move.format(1.1) + "run 0\n")
    assert run.returncode == 0, run.out
    assert CLOSE not in run.log
    assert "two atoms were closer" not in run.log
