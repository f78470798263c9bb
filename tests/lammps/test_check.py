"""`lammps-mace check`: real LAMMPS against the plain evaluation; it notices what is wrong."""

import dataclasses
import os
import sys

import ase
import ase.io
import numpy as np
import pytest
from parity import SHAPES, _apart
from small import SMALL, make_model, write_model

from lammps_mace.cli import check
from lammps_mace.cli.lammps_process import LammpsResult, lammps_box
from lammps_mace.cli.main import main
from lammps_mace.evaluation import Evaluation

# Spoils the weights of one rank, after the model was read.
SPOIL = """
import lammps_mace.coupling.plugin_potential as module

original = module.PluginPotential.set_elements

def spoiled(self, names):
    if self._rank.index == self._rank.size - 1:
        readout = self.model.params["layers_1"]["readout_block"]["ReadoutBlock_0"]["Linear_1"]
        readout["weight0_0_1"] = 1.001 * readout["weight0_0_1"]
    return original(self, names)

module.PluginPotential.set_elements = spoiled
"""


@pytest.fixture
def model(tmp_path):
    """Return a function that writes x.model."""

    def write(dtype="float64", **options):
        return str(write_model(tmp_path / "x.model", make_model(dtype, **options)))

    return write


@pytest.fixture
def structure(tmp_path):
    """Return a function that writes a structure of O and Si."""

    def write(shape, name="structure.xyz"):
        rng = np.random.default_rng(3)
        cell, periodic, n = SHAPES[shape]
        numbers = rng.choice([8, 14], n)
        atoms = ase.Atoms(numbers, _apart(rng, np.array(cell), n), cell=cell, pbc=periodic)
        ase.io.write(tmp_path / name, atoms)
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize("shape", ["rotated", "one atom", "slab", "molecule"])
def test_agrees(shape, model, structure, capsys):
    assert main(["check", model(), structure(shape), "-n", "2"]) == 0
    out = capsys.readouterr().out
    assert "LAMMPS on 2 ranks and the plain evaluation agree" in out
    for quantity in ("energy, eV/atom", "forces, eV/Å", "virial, eV", "energies of the atoms, eV"):
        assert quantity in out


def test_agrees_in_float32_on_one_rank(model, structure, capsys):
    assert main(["check", model("float32"), structure("rotated")]) == 0
    assert "LAMMPS on 1 rank and" in capsys.readouterr().out


def test_a_spoiled_weight_on_one_rank(model, structure, tmp_path, monkeypatch, capsys):
    (tmp_path / "spoil").mkdir()
    (tmp_path / "spoil" / "sitecustomize.py").write_text(SPOIL)
    paths = [str(tmp_path / "spoil"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    assert main(["check", model(), structure("orthogonal"), "-n", "2"]) == 1
    out = capsys.readouterr().out
    assert "<- not equal" in out
    assert "LAMMPS on 2 ranks and the plain evaluation DISAGREE: energy, eV/atom by" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist"),
        ("nonsense", "ASE cannot read it"),
        (
            '1\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3\nAu 0 0 0\n',
            "does not know the elements Au",
        ),
    ],
)
def test_unusable_structures(text, message, model, tmp_path, capsys):
    path = tmp_path / "bad.xyz"
    if text is not None:
        path.write_text(text)
    assert main(["check", model(), str(path)]) == 2
    assert message in capsys.readouterr().err


def test_unusable_model(structure, tmp_path, capsys):
    assert main(["check", str(tmp_path / "no.model"), structure("one atom")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_no_ranks(model, structure, capsys):
    assert main(["check", model(), structure("one atom"), "-n", "0"]) == 2
    assert "at least one rank is needed" in capsys.readouterr().err


def test_no_ase(model, structure, capsys, monkeypatch):
    path = structure("one atom")
    monkeypatch.setitem(sys.modules, "ase.io", None)
    assert main(["check", model(), path]) == 2
    assert "pip install 'lammps-mace[tools]'" in capsys.readouterr().err


def test_reason_of_lammps(model, structure, monkeypatch, capsys):
    script = check_script().replace("run 0", "run nonsense")
    monkeypatch.setattr("lammps_mace.cli.lammps_process._SCRIPT", script)
    assert main(["check", model(), structure("one atom")]) == 2
    assert "LAMMPS stopped: ERROR" in capsys.readouterr().err


def check_script():
    from lammps_mace.cli import lammps_process as single

    return single._SCRIPT


def made(n=3):
    """Return equal results of LAMMPS and of the plain evaluation."""
    rng = np.random.default_rng(0)
    forces, virial, energies = rng.normal(size=(n, 3)), rng.normal(size=(3, 3)), rng.normal(size=n)
    energy = float(energies.sum())
    plain = Evaluation(energy, forces, virial, energies, None, None)
    return LammpsResult(energy, forces, virial, energies), plain


@pytest.mark.parametrize("quantity", ["energy", "forces", "virial", "energies"])
@pytest.mark.parametrize("value", [1e-5, np.nan])
def test_every_quantity_is_compared(quantity, value):
    result, plain = made()
    assert all(row.equal for row in check.compare(result, plain, "float64"))
    wrong = dataclasses.replace(result, **{quantity: getattr(result, quantity) + value})
    assert sum(not row.equal for row in check.compare(wrong, plain, "float64")) == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_box_keeps_all_distances(shape):
    cell, periodic, n = SHAPES[shape]
    cell, periodic = np.array(cell, float), np.array(periodic)
    positions = _apart(np.random.default_rng(0), cell, n)
    box = lammps_box(positions, cell, periodic)
    assert np.allclose(box.rotation @ box.rotation.T, np.eye(3))
    assert np.linalg.det(box.rotation) > 0
    assert np.allclose(np.triu(box.cell, 1), 0)
    assert (np.diag(box.cell) > 0).all()
    moved = (positions - positions[0]) @ box.rotation
    assert np.allclose(box.positions - box.positions[0], moved)
    # The same lattice: whole numbers of cell vectors.
    steps = (cell @ box.rotation)[periodic] @ np.linalg.inv(box.cell)
    assert np.allclose(steps, np.round(steps))
    tilts = box.cell[[1, 2, 2], [0, 0, 1]] / np.diag(box.cell)[[0, 0, 1]]
    assert (np.abs(tilts) <= 0.5 + 1e-12).all()


def test_the_small_model_has_two_layers():
    assert SMALL.get("num_layers", 2) == 2  # what SPOIL relies on
