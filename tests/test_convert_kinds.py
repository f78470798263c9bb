"""Every kind of file that users try to convert, by its contents: each refused with what to do."""

import io
import pickle
import struct
import zipfile

import pytest
import torch_files as tf
from torch_files import dictionary, module, name, text, whole

from lammps_mace.cli.main import main
from lammps_mace.convert.kinds import kind_of
from lammps_mace.errors import ConvertError


@pytest.fixture
def refused(tmp_path, capsys):
    """Return a function: bytes of a file -> the words with which converting it ends."""

    def run(data=None):
        path = tmp_path / "x.pt"
        if data is not None:
            path.write_bytes(data)
        before = sorted(tmp_path.iterdir())
        assert main(["convert", str(path), "-o", str(tmp_path / "y.model")]) == 2
        assert sorted(tmp_path.iterdir()) == before
        [line] = capsys.readouterr().err.strip().splitlines()
        return line

    return run


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty: download or copy it again"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page, not a model"),
        (b"\n  <html lang=en>", "is a web page, not a model"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2), "has the format of torch before 1.6"),
        (pickle.dumps({"a": 1}), "is a pickle, but of no model"),
        (b"\x89HDF\r\n\x1a\n", "is not a zip archive, or a truncated one"),
    ],
)
def test_files_that_are_no_zip(refused, data, words):
    assert words in refused(data)


def test_a_truncated_download(refused, tmp_path):
    data = tf.write(tmp_path / "x.pt", tf.model(), {"0": bytes(5000)}).read_bytes()
    assert "or a truncated one: download or copy it again" in refused(data[: len(data) // 2])


def test_small_archives_of_code_in_a_file_are_not_the_file(refused, tmp_path):
    script = tf.write(tmp_path / "code.pt", whole(name("__torch__", "A") + b")\x81"),
                      extra={"constants.pkl": b"\x80\x02)."}).read_bytes()  # fmt: skip
    (tmp_path / "code.pt").unlink()
    old = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps({"_codegen": script})
    assert zipfile.is_zipfile(io.BytesIO(old))
    assert "has the format of torch before 1.6" in refused(old)
    state = dictionary(_codegen=b"B" + struct.pack("<I", len(script)) + script)
    new = tf.write(tmp_path / "x.pt", whole(state), {"0": bytes(5000)}).read_bytes()
    cut = new[: new.index(script) + len(script)]
    assert zipfile.is_zipfile(io.BytesIO(cut))
    assert "download or copy it again" in refused(cut)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (dictionary(w=tf.tensor()), "a dictionary of tensors (a state_dict)"),
        (name("collections", "OrderedDict") + b")R}" + text("_metadata") + b"}sb",
         "(a state_dict)"),
        (dictionary(model=b"}", optimizer=b"}", epoch=tf.integer(1)),
         "a checkpoint of a training run"),
        (b"](" + module("mace.modules.models", "MACE") * 2 + b"e",
         "holds 2 objects, not one model"),
        (tf.tensor(), "holds a ndarray, not a model"),
        (module("mace.modules.blocks", "ScaleShiftBlock"),
         "holds mace.modules.blocks.ScaleShiftBlock;"),
        (module("mace.v1.models", "MACE"),
         "holds mace.v1.models.MACE; lammps-mace runs the classes"),
        (module("mace.modules.extensions", "PolarMACE"),
         "PolarMACE: it has long-range electrostatics"),
        (module("mace.modules.extensions", "MACELES", les=name("les.les", "Les")), "latent Ewald"),
        (module("mace.modules.models", "AtomicDipolesMACE"), "predicts dipoles"),
        (module("mace.modules.models", "AtomicDielectricMACE"), "predicts dipoles"),
        (module("mace.modules.models", "EnergyDipolesMACE"), "predicts dipoles"),
        (module("mace.modules.models", "ScaleShiftBOTNet"), "the predecessor of MACE"),
        (module("mace.modules.models", "MACE", a=module("mace.modules.blocks",
         "RealAgnosticAttResidualInteractionBlock")), "weighs its messages by attention"),
        (module("mace.modules.models", "MACE", a=name("cuequivariance_torch.primitives", "X")),
         "'mace_cueq_to_e3nn'"),
        (module("mace.modules.models", "MACE", a=name("openequivariance.impl_torch", "X")),
         "mace.cli.convert_oeq_e3nn"),
        (module("mace.calculators.lammps_mliap_mace", "LAMMPS_MLIAP_MACE",
         model=name("cuequivariance_torch.primitives", "X")),
         "convert the model that it was exported from"),
        (module("nequip.model", "Nequip"),
         "asks for 'nequip.model.Nequip', which no MACE model needs"),
    ],
)  # fmt: skip
def test_files_of_torch_without_a_model_for_us(refused, tmp_path, found, words):
    tf.write(tmp_path / "x.pt", whole(found), {"0": bytes(24)})
    assert words in refused()


def test_torchscript(refused, tmp_path):
    script = whole(name("__torch__.mace", "MACE") + b")\x81")
    tf.write(tmp_path / "x.pt", script, extra={"constants.pkl": b"\x80\x02).", "code/a.py": b"x"})
    assert "is compiled code (TorchScript)" in refused()


def test_the_model_in_an_export_for_ml_iap(tmp_path):
    from lammps_mace.convert.torch.reader import read_records

    inner = module("mace.modules.models", "MACE", lammps_mliap=b"\x89")
    wrapper = module("mace.calculators.lammps_mliap_mace", "MACEEdgeForcesWrapper",
                     _modules=dictionary(model=inner))  # fmt: skip
    export = module("mace.calculators.lammps_mliap_mace", "LAMMPS_MLIAP_MACE", model=wrapper)
    found = read_records(tf.write(tmp_path / "x.pt", whole(export)))
    assert found.kind == "MACE"
    assert found.get("lammps_mliap") is False


def test_the_name_of_a_file_says_nothing(tmp_path):
    torch = tf.write(tmp_path / "x.zip", tf.model())
    assert kind_of(torch) == "torch"
    with zipfile.ZipFile(tmp_path / "y.model", "w") as archive:
        archive.writestr("hyperparams.json", "{}")
    assert kind_of(tmp_path / "y.model") == "mlip"
    with pytest.raises(ConvertError, match="does not exist or is not a file"):
        kind_of(tmp_path / "no.model")
