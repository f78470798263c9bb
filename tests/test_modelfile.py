"""The model file: what is written is read, and nothing else is accepted."""

import hashlib
import json
import os
import pickle

import numpy as np
import pytest
import safetensors.numpy
from small import make_model, write_model

from lammps_mace import ConvertError, ModelFileError, UnusableFileError, load_model, save_model
from lammps_mace.cli import main as cli
from lammps_mace.modelfile import flatten, read_parts, read_stub
from lammps_mace.stub import UnifiedModel


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
    data = json.loads(path.with_suffix(".json").read_text())
    data.update(changes)
    write_sidecar(path, json.dumps({k: v for k, v in data.items() if v is not ...}).encode())


def write_sidecar(path, text):
    """Replace X.json, with its hash in X.model: as whoever means harm would."""
    path.with_suffix(".json").write_bytes(text)
    stub = UnifiedModel(path.stem, hashlib.sha256(text).hexdigest(), "")
    path.write_bytes(pickle.dumps(stub, protocol=4))


def write_weights(path, arrays, data=None):
    """Replace X.safetensors, with its hash in X.json."""
    data = safetensors.numpy.save(arrays) if data is None else data
    path.with_suffix(".safetensors").write_bytes(data)
    edit(path, weights_sha256=hashlib.sha256(data).hexdigest())


def read_weights(path):
    return safetensors.numpy.load(path.with_suffix(".safetensors").read_bytes())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": 99}, "format version 99.*install a newer lammps-mace"),
        ({"dtype": ...}, "dtype: Field required"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"format_version": ...}, "not the sidecar of a model file"),
        ({"format_version": 0}, "format version 0.*reads 1 to 3"),
        ({"format_version": True}, "format version True"),
        ({"head": 1}, "head=1 must be 0 to 0"),
        ({"head": -1}, "head: Input should be greater than or equal to 0"),
        ({"elements": ["O"]}, "elements must be those of atomic_energies_map, O Si"),
        ({"total_charge": 10**9}, "total_charge: Input should be less than"),
        ({"write_charges": True}, "write_charges: the network predicts none"),
        ({"exact_radial": 1}, "exact_radial: Input should be a valid boolean"),
        ({"weights_sha256": "0"}, "weights_sha256: String should match pattern"),
        ({"origin": "\x1b[2J"}, "origin: .*characters that cannot be printed"),
        ({"k" * 1000: 0}, "unknown key 'k{60}'"),
        ({"origin": "\ud800"}, "holds text that is not Unicode"),
        ({"config": {"num_layers": 10**6}}, "config.num_layers: Input should be less than or eq"),
        ({"config": {"num_channels": 5}}, r"config asks for|has \d+ bytes|shape|missing"),
    ],
)
def test_bad_sidecar(path, changes, words):
    edit(path, **changes)
    with pytest.raises(ModelFileError, match=words):
        load_model(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[1]", "must hold a JSON object, not list"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is nested more than 16 levels deep"),
        (b'{"a": ' * 20 + b"1" + b"}" * 20, "nested more than 16 levels deep"),
        (b'{"a": 1, "a": 2}', "has the key 'a' twice"),
        (b'{"a": NaN}', "holds NaN; every number must be finite"),
        (b'{"a": 1e999}', "holds 1e999; every number must be finite"),
        (b'{"a": [' + b"0," * 200_000 + b"0]}", "holds more than 100,000 values"),
        (b" " * (2**22 + 1), "is larger than the 4,194,304 bytes"),
    ],
)
def test_sidecar_that_is_no_sane_json(path, text, words):
    write_sidecar(path, text)
    with pytest.raises(ModelFileError, match=words):
        load_model(path)


def test_edited_sidecar(path):
    sidecar = path.with_suffix(".json")
    sidecar.write_text(sidecar.read_text().replace('"head": 0', '"head": 7'))
    with pytest.raises(ModelFileError, match="was altered: its SHA-256"):
        load_model(path)


def test_mean_distance_beyond_the_cutoff(path):
    config = json.loads(path.with_suffix(".json").read_text())["config"]
    edit(path, config={**config, "avg_r_min": 4.0})
    with pytest.raises(
        ModelFileError, match="avg_r_min=4 must be at most 0.9 times graph_cutof.*=4"
    ):
        load_model(path)


COULOMB = {"use_coulomb_term": True}
CUTOFF = {"long_range_cutoff_angstrom": 6.0, "total_charge_set": [0, 1]}


@pytest.mark.parametrize(
    ("info", "changes", "words"),
    [
        (CUTOFF, {"total_charge": None}, "total_charge is None: charges need the total charge"),
        (CUTOFF, {"total_charge": 2}, r"was trained for total charges \[0, 1\]"),
        ({}, {}, "use_coulomb_term: dataset_info.long_range_cutoff_angstrom is None"),
    ],
)
def test_charges_that_cannot_be(tmp_path, info, changes, words):
    path = write_model(tmp_path / "x.model", make_model(info=CUTOFF, total_charge=1, **COULOMB))
    data = json.loads(path.with_suffix(".json").read_text())
    data["dataset_info"]["long_range_cutoff_angstrom"] = info.get("long_range_cutoff_angstrom")
    edit(path, dataset_info=data["dataset_info"], **changes)
    with pytest.raises(ModelFileError, match=words):
        load_model(path)


def test_fewer_species_than_elements(path):
    config = json.loads(path.with_suffix(".json").read_text())["config"]
    edit(path, config={**config, "num_species": 1})
    with pytest.raises(ModelFileError, match="num_species=1 is less than the 2 elements"):
        load_model(path)


WEIGHT = "layers_0#interaction_block#linear_in#weight0_0_1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop(WEIGHT), f"missing: '{WEIGHT}'"),
        (lambda w: w.update(extra=np.ones(1)), "not used by this network: 'extra'"),
        (lambda w: w.update({WEIGHT: w[WEIGHT][None]}), r"has shape \(1, 4, 4\); .* \(4, 4\)"),
        (lambda w: w.update({WEIGHT: w[WEIGHT][:1]}), r"has shape \(1, 4\)"),
        (lambda w: w.update({WEIGHT: w[WEIGHT] * np.nan}), "not finite in float64"),
        (lambda w: w.update({WEIGHT: w[WEIGHT].astype(int)}), "has type I64; weights are float16"),
    ],
)
def test_weights_that_are_not_of_this_network(path, change, words):
    arrays = read_weights(path)
    change(arrays)
    write_weights(path, arrays)
    with pytest.raises(ModelFileError, match=words):
        load_model(path)


def test_weights_beyond_float32(path):
    arrays = read_weights(path)
    arrays[WEIGHT] = arrays[WEIGHT] * 1e300
    write_weights(path, arrays)
    assert load_model(path)
    edit(path, dtype="float32")
    with pytest.raises(ModelFileError, match="not finite in float32"):
        load_model(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is not a file of safetensors .*; copy the three files"),
        (b"\xff" * 16, "it is not a file of safetensors .*; copy the three files"),
        (bytes(2**20), r"is larger than the [0-9,]+ bytes that such a file can have"),
    ],
)
def test_damaged_weights(path, data, words):
    write_weights(path, None, data)
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
    with pytest.raises(ModelFileError, match="open', which was not executed"):
        load_model(bad)
    assert not trap.exists()
    pickle.loads(bad.read_bytes()).close()  # the control: an ordinary unpickler does execute it
    assert trap.exists()


DIGEST = "0" * 64


def stub_bytes(*fields, protocol=4):
    return pickle.dumps(UnifiedModel(*fields), protocol=protocol)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"is not a model file of lammps-mace \(not a pickle\)"),
        (b"hello", r"is not a model file of lammps-mace \(not a pickle\)"),
        (pickle.dumps([1, 2]), "the pickle holds another object"),
        # Nine bytes for which an unpickler takes 2 GB: memo entry 134,217,728.
        (b"\x80\x04Nr\x00\x00\x00\x08.", "the pickle holds another object"),
        (stub_bytes("x", DIGEST, "") + b"more", "the pickle holds another object"),
        (stub_bytes("x", DIGEST, "", protocol=2), "the pickle holds another object"),
        (stub_bytes("x", DIGEST, "/" * 20_000), "larger than the 16,384 bytes"),
        (stub_bytes("x" * 300, DIGEST, ""), "its name is no name of a file"),
        (stub_bytes("../x", DIGEST, ""), "its name is that of no file in a folder"),
        (stub_bytes("x", DIGEST, "a\0b"), "its folder is no name of a file or folder"),
        (stub_bytes("x", "f00", ""), "its sidecar_sha256 is no SHA-256"),
    ],
)
def test_not_a_model(tmp_path, data, words):
    bad = tmp_path / "bad.model"
    bad.write_bytes(data)
    with pytest.raises(ModelFileError, match=words):
        load_model(bad)


def test_too_much_of_a_stub():
    with pytest.raises(ModelFileError, match="it has more than 16,384 bytes"):
        read_stub(bytes(20_000), "x.model")


def test_stub_that_lammps_unpickled_without_its_fields():
    with pytest.raises(ModelFileError, match="is damaged: its name is no name of a file"):
        read_parts(UnifiedModel.__new__(UnifiedModel), None, None)


@pytest.mark.parametrize("name", ["name", "folder", "sidecar_sha256", "x", "ö"])
def test_names_that_a_pickle_could_share(tmp_path, model, name):
    assert load_model(write_model(tmp_path / f"{name}.model", model))


def test_unreadable_file(path):
    path.with_suffix(".json").unlink()
    path.with_suffix(".json").symlink_to("/proc/self/mem")  # a file; reading its start is an error
    with pytest.raises(ModelFileError, match="cannot read .*x.json': .*; check the file"):
        load_model(path)


def test_one_family():
    assert issubclass(ModelFileError, UnusableFileError)
    assert issubclass(ConvertError, UnusableFileError)
    assert issubclass(UnusableFileError, ValueError)


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
