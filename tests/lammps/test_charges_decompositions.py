"""A Coulomb sum on 2 and 4 ranks, bricks and tiles, two boxes: against one plain evaluation."""

import numpy as np
import pytest
from charged import CASES
from parity import Case, make_oracle

from lammps_mace.cli.lammps_process import lammps_box, write_data
from lammps_mace.convert import convert
from lammps_mace.evaluation import Evaluator

FLOAT64 = 1e-8  # eV per atom, part of the largest force: another order of the same sums
RANKS = (2, 4)  # one rank: test_charges.py, against mlip
LAYOUTS = {"brick": "comm_style brick", "tiled": "comm_style tiled\nbalance 1.0 rcb"}
# LAMMPS's tiles need boxes longer than the long cutoff with its skin, 7.5 Å.
BOXES = ("orthogonal", "triclinic")
START = """
clear
units metal
atom_style atomic
atom_modify map yes
box tilt large
read_data {box}.data
neighbor 0.5 bin
{layout}
"""
EVALUATE = """
pair_style mliap unified x.model 0
pair_coeff * * C H
compute virial all pressure NULL virial
thermo_style custom step pe c_virial[*]
run 0
write_dump all custom {name}.dump id fx fy fz modify sort id format float %.17g
print "$(pe:%.17g) $(c_virial[1]*vol:%.17g) $(c_virial[4]*vol:%.17g)" file {name}.txt
pair_style none
uncompute virial
"""
BAR_ANGSTROM3_PER_EV = 1.6021765e6  # LAMMPS's constant of `units metal`


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Return a folder with the model and boxes, and box -> energy, forces, virial xx and xy."""
    folder = tmp_path_factory.mktemp("decompositions")
    structures = {box: _structure(box, folder) for box in BOXES}
    path, case = folder / "x.model", CASES["all"]
    zipped = make_oracle(case).save(folder / "x.zip")
    convert(zipped, path, dtype="float64", total_charge=case.charge, head=str(case.head))
    evaluator, truth = Evaluator(path), {}
    for box, atoms in structures.items():
        result = evaluator.evaluate(atoms)
        virial = -result.stress * result.volume
        truth[box] = result.energy, result.forces, virial[[0, 0], [0, 1]]
    return folder, truth


def _structure(box, folder):
    """Return 60 or 72 shaken atoms, of two elements, already in LAMMPS's orientation."""
    atoms = Case(shape=box, seed=1).atoms.repeat((2, 3, 2))
    atoms.rattle(0.1, seed=3)
    placed = lammps_box(atoms.positions, np.array(atoms.cell), atoms.pbc)
    atoms.set_cell(placed.cell)
    atoms.positions = placed.positions
    assert write_data(atoms, placed, folder) == ["C", "H"]
    (folder / "start.data").rename(folder / f"{box}.data")
    return atoms


def _script():
    return "".join(
        START.format(box=box, layout=layout) + EVALUATE.format(name=f"{box}.{name}")
        for box in BOXES
        for name, layout in LAYOUTS.items()
    )


def _differences(folder, name, truth):
    energy, forces, virial = truth
    found = np.loadtxt(folder / f"{name}.txt")
    dumped = np.loadtxt(folder / f"{name}.dump", skiprows=9)[:, 1:]
    largest = np.abs(forces).max()
    return {
        "energy": abs(found[0] - energy) / len(forces),
        "forces": np.abs(dumped - forces).max() / largest,
        "virial": np.abs(found[1:] / BAR_ANGSTROM3_PER_EV - virial).max() / (largest * len(forces)),
    }


@pytest.mark.parametrize("ranks", RANKS)
def test_any_decomposition(ranks, evaluated, run_lammps, tmp_path):
    folder, truth = evaluated
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    run = run_lammps(_script(), ranks, timeout=240)
    assert run.returncode == 0, run.out
    for box, expected in truth.items():
        for layout in LAYOUTS:
            found = _differences(tmp_path, f"{box}.{layout}", expected)
            assert max(found.values()) < FLOAT64, (box, layout, found)
    # A control: a force that is the neighbour's is told apart.
    energy, forces, virial = truth["triclinic"]
    swapped = np.roll(forces, 1, axis=0)
    wrong = _differences(tmp_path, "triclinic.brick", (energy, swapped, virial))
    assert wrong["forces"] > FLOAT64
