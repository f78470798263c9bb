"""`convert --committee`: a list of models that torch saved becomes one committee, or is refused."""

import lzma
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch_files as tf
from ase import Atoms

from lammps_mace.cli.main import main
from lammps_mace.convert import convert, convert_committee
from lammps_mace.errors import ConvertError
from lammps_mace.evaluation import Evaluator
from lammps_mace.modelfile import load_models

DATA = Path(__file__).parent / "data"
EXACT = 1e-9  # eV, eV/Å


def unpacked(name, folder):
    path = folder / "x.pt"
    path.write_bytes(lzma.decompress((DATA / f"{name}.model.xz").read_bytes()))
    return path


@pytest.fixture
def saved(tmp_path):
    """Return the path of two models that mace-torch 0.3.16 made, in one list."""
    return unpacked("torch_0_3_16_list", tmp_path)


def test_members_are_the_models_of_the_list(saved, tmp_path, capsys):
    output = tmp_path / "all.model"
    command = ["convert", str(saved), "-o", str(output), "--committee", "--dtype", "float64"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "x.pt: number 1: MACE of mace-torch, 2 layers" in said
    assert f"pair_style mliap unified {output} 0 deviation devi.out every 10" in said
    reference = np.load(DATA / "torch_0_3_16_list.npz")
    names = "numbers", "positions", "cell"
    atoms = Atoms(**{name: reference[name] for name in names}, pbc=True)
    found = [Evaluator(model).evaluate(atoms) for model in load_models(output)]
    energies, forces = (np.array([getattr(f, x) for f in found]) for x in ("energy", "forces"))
    np.testing.assert_allclose(energies, reference["energy"], rtol=0, atol=EXACT)
    np.testing.assert_allclose(forces, reference["forces"], rtol=0, atol=EXACT)
    assert np.abs(forces[::-1] - reference["forces"]).max() > 0.1  # the control


def refused(path, words, output="y.model", **options):
    with pytest.raises(ConvertError, match=words):
        convert_committee(path, path.parent / output, **options)
    assert list(path.parent.glob("y.*")) == []


def with_pickle(path, prefix):
    """Return a list of hand-made contents in a file of torch."""
    return tf.write(path.parent / "made.pt", b"\x80\x02" + prefix + b".")


def other_elements(path):
    """Change an element of the second model."""
    numbers, changed = (np.array(x, np.int64).tobytes() for x in ([8, 14], [8, 15]))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    [_, second] = [name for name, data in members.items() if data == numbers]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, changed if name == second else data)
    return path


def test_what_is_no_committee(saved, tmp_path):
    with pytest.raises(ConvertError, match="2 objects, not one model; --committee converts a list"):
        convert(saved, tmp_path / "y.model")
    refused(other_elements(saved), "--committee: model: number 1 of the list knows O P, number 0")
    refused(saved, "--elements C: the model knows O Si", elements=["C"])
    model = tf.module("mace.modules.models", "MACE")
    refused(with_pickle(saved, model), "no list of models, which --committee converts; write one")
    odd = with_pickle(saved, b"](" + model + tf.integer(3) + b"e")
    refused(odd, "made.pt' has a list whose number 1 holds a int, not a model")
    refused(with_pickle(saved, b"]"), "--committee: a committee has 2 to 100 models, got 0")
    refused(DATA / "v1_plain.zip", "--committee: a zip of mlip holds one model; leave the option")
    refused(saved, "must end in '.model'", output="y.pt")
