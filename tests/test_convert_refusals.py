"""Bad checkpoints: one clear message, exit status 2, and nothing written."""

import io
import json
import struct
import subprocess
import sys
import zipfile

import jax
import numpy as np
import pytest

from lammps_mace import ConvertError, DatasetInfo, MaceConfig, load_model
from lammps_mace.cli.main import main
from lammps_mace.convert import convert
from lammps_mace.modelfile import flatten
from lammps_mace.models.mlip.shapes import parameter_shapes

CONFIG = {
    "num_layers": 1, "num_channels": 2, "l_max": 1, "correlation": 1, "node_symmetry": 0,
    "radial_mlp_hidden": [2], "num_rbf": 2, "readout_irreps": ["2x0e", "0e"],
    "symmetric_contraction_backend": "e3nn_symmetric",
}  # fmt: skip
INFO = {"atomic_energies_map": {"1": -1.0, "8": -2.0}, "graph_cutoff_angstrom": 3.0}
WEIGHT = "layers_0#interaction_block#linear_in#weight0_0_1"


def weights(config, info):
    """Return random parameters named as mlip does."""
    rng = np.random.default_rng(0)
    shapes = parameter_shapes(MaceConfig(**config), DatasetInfo(**info))
    return {
        f"params#mlip_network#{name}": rng.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }


class Checkpoint:
    """A zip of mlip that can be spoiled part by part."""

    def __init__(self):
        self.config, self.info = dict(CONFIG), dict(INFO)
        self.params = None
        self.extra = {}
        self.members = {}

    def write(self, path):
        params = weights(self.config, self.info) if self.params is None else self.params
        buffer = io.BytesIO()
        np.savez(buffer, **params)
        text = {"config": self.config, "dataset_info": self.info, "version": "0.2.5", **self.extra}
        members = {"hyperparams.json": json.dumps(text), "params.npz": buffer.getvalue()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in {**members, **self.members}.items():
                if data is not None:
                    archive.writestr(name, data)


@pytest.fixture
def checkpoint():
    return Checkpoint()


@pytest.fixture
def refused(tmp_path, capsys):
    """Return a function that converts and returns the message of the refusal."""

    def run(checkpoint, *options):
        path = tmp_path / "model.zip"
        if isinstance(checkpoint, bytes):
            path.write_bytes(checkpoint)
        else:
            checkpoint.write(path)
        before = sorted(tmp_path.iterdir())
        assert main(["convert", str(path), "-o", str(tmp_path / "x.model"), *options]) == 2
        assert sorted(tmp_path.iterdir()) == before
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1, lines
        return lines[0]

    return run


def bytes_of(checkpoint, tmp_path):
    checkpoint.write(tmp_path / "whole.zip")
    data = (tmp_path / "whole.zip").read_bytes()
    (tmp_path / "whole.zip").unlink()
    return data


def test_the_unspoiled_checkpoint_is_converted(checkpoint, tmp_path, capsys):
    checkpoint.write(tmp_path / "model.zip")
    assert main(["convert", str(tmp_path / "model.zip"), "-o", str(tmp_path / "x.model")]) == 0
    out = capsys.readouterr().out
    assert "MACE of mlip 0.2.5, 1 layers, 2 channels" in out
    assert "pair_coeff * * H O" in out
    assert sorted(p.name for p in tmp_path.glob("x.*")) == ["x.json", "x.model", "x.safetensors"]


def test_missing_file(tmp_path, capsys):
    assert main(["convert", str(tmp_path / "no.zip"), "-o", str(tmp_path / "x.model")]) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "words"),
    [("x.pt", "must end in '.model'"), ("no/x.model", "/no'; make it first")],
)
def test_unusable_output(checkpoint, tmp_path, capsys, output, words):
    checkpoint.write(tmp_path / "model.zip")
    assert main(["convert", str(tmp_path / "model.zip"), "-o", str(tmp_path / output)]) == 2
    assert words in capsys.readouterr().err


def test_not_a_zip(refused):
    assert "is not a zip archive, or a truncated one" in refused(b"PK no, not at all")


@pytest.mark.parametrize("part", [0.2, 0.9])
def test_truncated(checkpoint, refused, tmp_path, part):
    data = bytes_of(checkpoint, tmp_path)
    assert "truncated" in refused(data[: int(len(data) * part)])


def test_damaged_byte(checkpoint, refused, tmp_path):
    data = bytearray(bytes_of(checkpoint, tmp_path))
    data[len(data) // 2] ^= 0xFF
    assert "is damaged" in refused(bytes(data))


@pytest.mark.parametrize("name", ["hyperparams.json", "params.npz"])
def test_missing_member(checkpoint, refused, name):
    checkpoint.members[name] = None
    assert f"has no member {name!r}: not a checkpoint of mlip; it holds" in refused(checkpoint)


def test_parameters_that_are_no_npz(checkpoint, refused):
    checkpoint.members["params.npz"] = b"nothing"
    assert "params.npz is damaged" in refused(checkpoint)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "hyperparams.json is not JSON"),
        (b"[1]", "must hold a JSON object, not list"),
        (b"\xff\xfe\x00", "hyperparams.json is not JSON"),
        (b"[" * 100000, "hyperparams.json is nested more than 16 levels deep"),
        (b'{"config": {}}', "has no object 'dataset_info'"),
        (b'{"config": 3, "dataset_info": {}}', "has no object 'config'"),
        (b'{"config": {"avg_r_min": NaN}, "dataset_info": {}}', "holds NaN"),
    ],
)
def test_bad_json(checkpoint, refused, text, message):
    checkpoint.members["hyperparams.json"] = text
    assert message in refused(checkpoint)


def test_wrong_shape_names_the_parameter(checkpoint, refused):
    checkpoint.params = weights(CONFIG, INFO)
    checkpoint.params[f"params#mlip_network#{WEIGHT}"] = np.zeros((3, 2), np.float32)
    message = refused(checkpoint)
    assert WEIGHT in message
    assert "has shape (3, 2); the configuration asks for (2, 2)" in message


def test_missing_parameter_is_named(checkpoint, refused):
    checkpoint.params = weights(CONFIG, INFO)
    del checkpoint.params[f"params#mlip_network#{WEIGHT}"]
    assert f"missing: '{WEIGHT}'" in refused(checkpoint)


def test_unused_parameter_is_named(checkpoint, refused):
    checkpoint.params = {**weights(CONFIG, INFO), "params#mlip_network#layers_7#w": np.ones(2)}
    assert "not used by this network: 'layers_7#w'" in refused(checkpoint)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(checkpoint, refused, value):
    checkpoint.params = weights(CONFIG, INFO)
    checkpoint.params[f"params#mlip_network#{WEIGHT}"][0, 1] = value
    message = refused(checkpoint)
    assert WEIGHT in message
    assert "not finite" in message


def test_objects_are_not_unpickled(checkpoint, refused, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    checkpoint.params = {"params#w": np.array([Evil()], dtype=object)}
    assert "objects are never unpickled" in refused(checkpoint)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("ViSNet", {"num_heads": 8, "vecnorm_type": "none", "attn_activation": "silu"}),
        ("NequIP", {"target_irreps": "4x0e", "radial_mlp_variance_scale": 4.0}),
        ("eSEN", {"sphere_channels": 16, "m_max": 2, "edge_channels": 16}),
    ],
)
def test_other_architectures(checkpoint, refused, name, keys):
    checkpoint.config = {"num_layers": 2, "l_max": 2, **keys}
    checkpoint.params = {"params#w": np.ones(1)}
    assert f"this is a {name} model; lammps-mace runs MACE models only" in refused(checkpoint)


def test_unknown_key_with_the_nearest(checkpoint, refused):
    checkpoint.params = weights(CONFIG, INFO)
    checkpoint.config["correlaton"] = 2
    message = refused(checkpoint)
    assert "unknown key 'correlaton' in MaceConfig; did you mean 'correlation'?" in message


def test_unknown_key_of_the_data_set(checkpoint, refused):
    checkpoint.params = weights(CONFIG, INFO)
    checkpoint.info["scaling_std"] = 2.0
    assert "did you mean 'scaling_stdev'?" in refused(checkpoint)


def test_our_own_option_is_not_one_of_mlip(checkpoint, refused):
    checkpoint.config["species_pair_scaling"] = True
    assert "unknown key 'species_pair_scaling'" in refused(checkpoint)


def test_value_of_the_wrong_kind(checkpoint, refused):
    checkpoint.params = weights(CONFIG, INFO)
    checkpoint.config["num_layers"] = "two"
    assert "config.num_layers" in refused(checkpoint)


@pytest.mark.parametrize("head", ["2", "-1", "third"])
def test_head_that_does_not_exist(checkpoint, refused, head):
    checkpoint.config["num_readout_heads"] = 2
    checkpoint.info["dataset_name"] = ["first", "second"]
    checkpoint.info["atomic_energies_map"] = [INFO["atomic_energies_map"]] * 2
    message = refused(checkpoint, f"--head={head}")
    assert f"--head {head!r}: there is no such head; the model has 0 (first), 1 (second)" in message


def test_charge_that_was_not_trained_for(checkpoint, refused):
    checkpoint.config["use_total_charge_embedding"] = True
    checkpoint.info["total_charge_set"] = [-1, 0, 2]
    message = refused(checkpoint, "--total-charge", "1")
    assert "--total-charge 1: the model was trained for total charges -1, 0, +2" in message


def test_charge_that_must_be_chosen(checkpoint, refused):
    checkpoint.config["use_total_charge_embedding"] = True
    checkpoint.info["total_charge_set"] = [-1, 2]
    assert "trained for total charges -1, +2; choose one with --total-charge" in refused(checkpoint)


def test_charge_of_a_model_that_lists_none(checkpoint, refused):
    checkpoint.config["use_total_charge_embedding"] = True
    assert "lists none that it was trained for" in refused(checkpoint, "--total-charge", "1")


def test_charge_of_a_model_without_charges(checkpoint, refused):
    assert "this model has no charges" in refused(checkpoint, "--total-charge", "0")


def test_coulomb_without_a_cutoff(checkpoint, refused):
    checkpoint.config["use_coulomb_term"] = True
    assert "needs dataset_info.long_range_cutoff_angstrom" in refused(checkpoint)


def test_bomb_in_the_archive(checkpoint, refused):
    checkpoint.members["params.npz"] = bytes(2**26)
    assert "that is a zip bomb, not a checkpoint" in refused(checkpoint)


def test_huge_json(checkpoint, refused):
    checkpoint.members["hyperparams.json"] = b" " * (2**24 + 1)
    assert "at most 4,194,304 are read" in refused(checkpoint)


def test_bomb_in_the_parameters(checkpoint, refused):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{"params#w": np.zeros(2**23)})
    checkpoint.members["params.npz"] = buffer.getvalue()
    assert "that is a zip bomb, not a checkpoint" in refused(checkpoint)


def npz_with(data):
    return zip_of([("w.npy", data)])


def zip_of(members, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def zip_members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


NPY = io.BytesIO()
np.save(NPY, np.ones(1))


def test_header_that_promises_more_than_there_is(checkpoint, refused):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(16)
    checkpoint.members["params.npz"] = npz_with(data)
    assert "16 bytes do not fill the shape (1000000000000,)" in refused(checkpoint)


@pytest.mark.parametrize(("method", "number"), [(zipfile.ZIP_BZIP2, 12), (zipfile.ZIP_LZMA, 14)])
def test_packed_by_a_method_that_may_take_any_memory(checkpoint, refused, tmp_path, method, number):
    members = zip_members(bytes_of(checkpoint, tmp_path))
    data = zip_of(list(members.items()), method)
    assert f"'hyperparams.json' is packed by method {number}; only stored" in refused(data)


def test_encrypted_member(checkpoint, refused, tmp_path):
    data = bytearray(bytes_of(checkpoint, tmp_path))
    at = data.index(b"PK\x01\x02") + 8  # flags of the first member in the directory
    data[at] |= 1
    assert "'hyperparams.json' is encrypted; write the archive without" in refused(bytes(data))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_member_that_is_there_twice(checkpoint, refused, tmp_path):
    members = list(zip_members(bytes_of(checkpoint, tmp_path)).items())
    assert "has the member 'params.npz' 2 times" in refused(zip_of([*members, members[1]]))


def test_parameter_that_is_there_twice(checkpoint, refused):
    checkpoint.members["params.npz"] = zip_of([("w.npy", NPY.getvalue()), ("w", NPY.getvalue())])
    assert "params.npz has the parameter 'w' twice" in refused(checkpoint)
    checkpoint.members["params.npz"] = zip_of(
        [("w.npy", NPY.getvalue()), ("params#w.npy", NPY.getvalue())]
    )
    assert "the parameter 'w' is there twice, also as 'params#w'" in refused(checkpoint)


def test_directory_beyond_all_checkpoints(checkpoint, refused, monkeypatch):
    monkeypatch.setattr("lammps_mace.convert.zip_members._Source.most", 100)
    assert "a directory of 118 bytes; at most 100 are read" in refused(checkpoint)


def test_file_beyond_all_checkpoints(checkpoint, refused, monkeypatch):
    monkeypatch.setattr("lammps_mace.convert.kinds.MOST_BYTES", -(2**22))
    assert "bytes; at most 0 are read" in refused(checkpoint)


def test_members_that_together_are_a_bomb(checkpoint, refused):
    members = [(f"w{i}.npy", bytes(2**24)) for i in range(3)]
    checkpoint.members["params.npz"] = zip_of(members, zipfile.ZIP_DEFLATED)
    assert "params.npz would unpack from" in refused(checkpoint)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,) * 9, }", "numpy does not write"),
        (b"(" * 900, "numpy does not write"),
        (b" " * 2000, "numpy does not write"),
        (b"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "has type <c8; only"),
        (
            b"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1), }",
            "has 9 axes",
        ),
    ],
)
def test_headers_that_no_weight_has(checkpoint, refused, header, words):
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(8)
    checkpoint.members["params.npz"] = npz_with(data)
    assert words in refused(checkpoint)


def test_order_of_bytes_and_of_axes_is_read(checkpoint, tmp_path):
    params = weights(CONFIG, INFO)
    checkpoint.params = {
        name: np.asfortranarray(array.astype(">f8")) for name, array in params.items()
    }
    checkpoint.write(tmp_path / "model.zip")
    convert(tmp_path / "model.zip", tmp_path / "x.model", dtype="float64")
    read = flatten(load_model(tmp_path / "x.model").params)
    assert all(
        np.array_equal(read[name.removeprefix("params#mlip_network#")], array)
        for name, array in params.items()
    )


def test_weights_beyond_float32(checkpoint, refused):
    checkpoint.params = weights(CONFIG, INFO)
    checkpoint.params[f"params#mlip_network#{WEIGHT}"] = np.full((2, 2), 1e300)
    assert "not finite in float32" in refused(checkpoint)


def test_mean_distance_beyond_the_cutoff(checkpoint, refused):
    checkpoint.params = weights(CONFIG, INFO)
    checkpoint.info["avg_r_min_angstrom"] = 3.0
    words = "avg_r_min_angstrom=3 must be at most 0.9 times graph_cutoff_angstrom=3"
    assert words in refused(checkpoint)


def test_version_that_is_no_text(checkpoint, refused):
    checkpoint.extra["version"] = [1]
    assert "version is no text such as '0.2.5'" in refused(checkpoint)


def test_unreadable_archive(refused, tmp_path):
    (tmp_path / "link.zip").symlink_to("/proc/self/mem")
    with pytest.raises(ConvertError, match="cannot read .*link.zip"):
        convert(tmp_path / "link.zip", tmp_path / "x.model")


def test_unknown_npy_version(checkpoint, refused):
    checkpoint.members["params.npz"] = npz_with(b"\x93NUMPY\x09\x00" + bytes(20))
    assert "unknown .npy version" in refused(checkpoint)


def test_failed_write_leaves_nothing(checkpoint, refused, monkeypatch):
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    assert "full" in refused(checkpoint)


def test_conversion_needs_neither_mlip_nor_torch(checkpoint, tmp_path):
    checkpoint.write(tmp_path / "model.zip")
    code = (
        "import sys\n"
        "from lammps_mace.cli.main import main\n"
        f"status = main(['convert', {str(tmp_path / 'model.zip')!r}, '-o', "
        f"{str(tmp_path / 'x.model')!r}])\n"
        "unwanted = {'mlip', 'torch', 'ase', 'lammps', 'matscipy'} & sys.modules.keys()\n"
        "sys.exit(str(unwanted) if unwanted else status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_parameters_without_elements_may_be_missing(checkpoint, tmp_path):
    shapes = parameter_shapes(MaceConfig(**CONFIG), DatasetInfo(**INFO))
    empty = [name for name, shape in shapes.items() if 0 in shape]
    checkpoint.params = {
        name: array
        for name, array in weights(CONFIG, INFO).items()
        if name.removeprefix("params#mlip_network#") not in empty
    }
    checkpoint.write(tmp_path / "model.zip")
    assert main(["convert", str(tmp_path / "model.zip"), "-o", str(tmp_path / "x.model")]) == 0


def test_jax_is_as_before(checkpoint, tmp_path):
    before = jax.config.jax_enable_x64
    checkpoint.write(tmp_path / "model.zip")
    main(["convert", str(tmp_path / "model.zip"), "-o", str(tmp_path / "x.model")])
    assert jax.config.jax_enable_x64 == before
