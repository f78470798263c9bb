"""The model file: what is written is read, and nothing else is accepted."""

import json
import os
import pickle

import numpy as np
import pytest
from small import make_model, write_model

from lammps_mace import load_model, save_model
from lammps_mace.cli import main as cli
from lammps_mace.modelfile import ModelFileError, flatten


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture
def path(tmp_path, model):
    return write_model(tmp_path / "x.model", model)


def test_round_trip(path, model):
    loaded = load_model(path)
    assert loaded.config == model.config
    assert loaded.dataset_info == model.dataset_info
    assert loaded.dtype == "float64"
    before, after = flatten(model.params), flatten(loaded.params)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[k], after[k]) for k in before)


def test_stub_holds_no_weights(path):
    assert path.stat().st_size < 1000


def test_renamed_files_are_found(path, tmp_path):
    for suffix in (".model", ".json", ".safetensors"):
        path.with_suffix(suffix).rename(tmp_path / f"renamed{suffix}")
    assert load_model(tmp_path / "renamed.model")


def test_sidecars_elsewhere(path, tmp_path, monkeypatch):
    away = tmp_path / "away"
    away.mkdir()
    for suffix in (".json", ".safetensors"):
        path.with_suffix(suffix).rename(away / f"x{suffix}")
    with pytest.raises(ModelFileError, match="was not found; tried .*LAMMPS_MACE_PATH"):
        load_model(path)
    monkeypatch.setenv("LAMMPS_MACE_PATH", f"/nowhere{os.pathsep}{away}")
    assert load_model(path)


def edit(path, **changes):
    sidecar = path.with_suffix(".json")
    data = json.loads(sidecar.read_text())
    data.update(changes)
    sidecar.write_text(json.dumps({k: v for k, v in data.items() if v is not ...}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": 99}, "format version 99.*install a newer lammps-mace"),
        ({"dtype": ...}, "dtype: Field required"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"head": 7}, "was altered: its SHA-256"),
        ({"format_version": ...}, "not the sidecar of a model file"),
    ],
)
def test_bad_sidecar(path, changes, words):
    edit(path, **changes)
    with pytest.raises(ModelFileError, match=words):
        load_model(path)


def test_altered_weights(path):
    weights = path.with_suffix(".safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelFileError, match=r"x\.safetensors' was altered"):
        load_model(path)


def test_missing_parts(path, tmp_path):
    with pytest.raises(ModelFileError, match="does not exist"):
        load_model(tmp_path / "no.model")
    path.with_suffix(".safetensors").unlink()
    with pytest.raises(ModelFileError, match="the weights .* are missing"):
        load_model(path)


def test_no_folder(model, tmp_path):
    words = r"cannot write '.*no/x\.safetensors': No such file or directory; name a folder"
    with pytest.raises(ModelFileError, match=words):
        write_model(tmp_path / "no" / "x.model", model)


class Trap:
    """A pickle that leaves a file behind when it is executed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_foreign_pickle_is_not_executed(tmp_path):
    trap = tmp_path / "executed"
    bad = tmp_path / "bad.model"
    bad.write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(ModelFileError, match="open, which was not executed"):
        load_model(bad)
    assert not trap.exists()
    pickle.loads(bad.read_bytes()).close()  # the control: an ordinary unpickler does execute it
    assert trap.exists()


@pytest.mark.parametrize("data", [b"", b"hello", pickle.dumps([1, 2])])
def test_not_a_model(tmp_path, data):
    bad = tmp_path / "bad.model"
    bad.write_bytes(data)
    with pytest.raises(ModelFileError, match="is not a model file of lammps-mace"):
        load_model(bad)


def test_save_refuses(tmp_path, model):
    arguments = (model.config, model.dataset_info)
    with pytest.raises(ValueError, match=r"must end in '\.model'"):
        save_model(tmp_path / "x.zip", *arguments, model.params)
    with pytest.raises(ValueError, match="head=1 must be 0 to 0"):
        save_model(tmp_path / "x.model", *arguments, model.params, head=1)
    flat = flatten(model.params)
    name = next(iter(flat))
    bad = {**flat, name: np.full_like(flat[name], np.nan)}
    with pytest.raises(ValueError, match=f"'{name}' has values that are not finite"):
        save_model(tmp_path / "x.model", *arguments, bad)
    assert list(tmp_path.iterdir()) == []


def test_info_command(path, capsys):
    assert cli.main(["info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "O Si" in shown
    assert "float64" in shown
    assert "num_channels                     4  (not the default)" in shown
    assert cli.main(["info", str(path.with_name("no.model"))]) == 2
    assert "does not exist" in capsys.readouterr().err
