"""Files of torch, read without torch: what they hold, and that none can do more than be refused."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch_files as tf
from torch_files import called, dictionary, integer, many, model, module, name, text, whole

from lammps_mace.convert.torch.reader import read_records
from lammps_mace.convert.torch.records import Reference, arrays, instruction, irreps, walk
from lammps_mace.errors import ConvertError

THREE = np.array([1.5, -2.0, 3.25])
STORAGES = {"0": THREE.tobytes()}


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a file of torch and reads it."""

    def run(pickle, storages=STORAGES, **options):
        return read_records(tf.write(tmp_path / "x.model", pickle, storages, **options))

    return run


@pytest.fixture
def refused(read):
    """Return a function that reads what is refused, and returns the words."""

    def run(*args, **options):
        with pytest.raises(ConvertError) as caught:
            read(*args, **options)
        return str(caught.value)

    return run


def test_a_module_with_everything(read):
    inner = module("torch.nn.modules.linear", "Linear",
                   _parameters=dictionary(weight=tf.tensor(), bias=b"N"))  # fmt: skip
    found = read(
        model(
            training=b"\x88", _forward_hooks=b"}", heads=b"](" + text("a") + text("b") + b"e",
            r_max=b"G" + b"\x40\x12" + bytes(6), gate=name("torch.nn.functional", "silu"),
            _modules=dictionary(linear=inner),
            _buffers=dictionary(p=tf.tensor(shape=(), strides=())),
        )
    )  # fmt: skip
    assert found.kind == "MACE"
    assert dict(found.attributes) == {
        "heads": ["a", "b"], "r_max": 4.5, "gate": Reference("torch.nn.functional.silu")
    }  # fmt: skip
    assert found.get("gate").kind == "silu"
    assert found.get("nothing", 7) == 7
    assert "linear" in found
    assert "bias" not in found.get("linear")
    assert [path for path, _ in walk(found)] == ["", "linear"]
    got = arrays(found)
    np.testing.assert_array_equal(got["linear#weight"], THREE)
    assert got["p"].shape == ()
    assert got["p"] == 1.5


def test_a_view_has_its_offset_and_strides(read):
    square = tf.tensor(offset=1, shape=(2, 1), strides=(1, 2))
    found = read(model(_buffers=dictionary(a=square))).get("a")
    np.testing.assert_array_equal(found, [[-2.0], [3.25]])
    assert not found.flags.writeable


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("FloatStorage", np.float32([1, 2.5]), "float32"),
        ("HalfStorage", np.float16([1, 2.5]), "float16"),
        ("LongStorage", np.int64([1, -2]), "int64"),
        ("BoolStorage", np.array([True, False]), "bool"),
        ("BFloat16Storage", (np.float32([1, 2.5]).view("<u4") >> 16).astype("<u2"), "float32"),
    ],
)
def test_types(read, kind, values, expected):
    storage = tf.storage(kind=kind, size=2)
    found = read(
        model(_buffers=dictionary(a=tf.tensor(storage, shape=(2,)))), {"0": values.tobytes()}
    )
    assert found.get("a").dtype == expected
    reference = np.float32([1, 2.5]) if kind == "BFloat16Storage" else values
    np.testing.assert_array_equal(found.get("a"), reference)


def test_objects_of_numpy(read):
    dtype = called(name("numpy", "dtype"), text("f8"), b"\x89", b"\x88")
    state = many(integer(3), text("<"), b"N", b"N", b"N")
    data = called(name("_codecs", "encode"), text(THREE.tobytes().decode("latin1")), text("latin1"))
    empty = called(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"))
    array = empty + many(integer(1), many(integer(3)), dtype + state + b"b", b"\x89", data) + b"b"
    one = called(
        name("_codecs", "encode"), text(THREE[:1].tobytes().decode("latin1")), text("latin1")
    )
    scalar = called(name("numpy.core.multiarray", "scalar"), dtype, one)
    found = read(model(energies=array, avg=scalar))
    np.testing.assert_array_equal(found.get("energies"), THREE)
    assert found.get("avg") == 1.5


def test_irreps_and_instructions(read):
    def made(leaf, *args):
        return name("e3nn.o3._irreps", leaf) + many(*args) + b"\x81"

    one = made("_MulIr", many(integer(8), made("Irrep", many(integer(1), integer(-1)))))
    found = read(model(a=made("Irreps", many(one, one)), b=text("4x0e + 1o")))
    assert irreps(found.get("a")) == ((8, 1, -1), (8, 1, -1))
    assert irreps(found.get("b")) == ((4, 0, 1), (1, 1, -1))
    assert instruction(read(model(i=made("Instruction", integer(0), integer(2)))).get("i")) == (
        0,
        2,
    )
    for wrong in ("8xe", "x", "-1x0e", "1y"):
        with pytest.raises(ConvertError, match="is no irrep"):
            irreps(wrong)
    with pytest.raises(ConvertError, match="its irreps are not triples"):
        irreps(read(model(a=made("Irreps", many(b"N")))).get("a"))


# What may not happen.
COMMAND = name("posix", "system") + many(text("touch executed")) + b"R"


@pytest.mark.parametrize(
    ("module_name", "leaf"),
    [("posix", "system"), ("builtins", "eval"), ("__builtin__", "exec"), ("torch.hub", "load"),
     ("torch", "load"), ("numpy", "load"), ("lammps_mace.cli.main", "main"), ("maceX", "y"),
     ("torch._utils", "os.system"), ("torchvision.ops", "nms")],
)  # fmt: skip
def test_other_names_are_refused(refused, module_name, leaf):
    words = refused(model(a=name(module_name, leaf) + many(text("touch x")) + b"R"))
    assert f"asks for '{module_name.replace('__builtin__', 'builtins')}.{leaf}'" in words
    assert "nothing was executed" in words


def test_a_command_is_refused_before_anything_is_made(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lammps_mace.convert.torch.reader.unpickle", None)  # is not come to
    assert "asks for 'posix.system'" in refused(model(a=COMMAND))
    protocol_4 = text("posix") + text("system") + b"\x93" + many(text("x")) + b"R"
    assert "asks for 'posix.system'" in refused(whole(protocol_4))
    assert not (tmp_path / "executed").exists()


def test_a_name_that_hides_behind_others_is_refused_too(refused):
    hidden = text("posix") + text("system") + text("mace") + text("x") + b"00\x93"
    assert "operation POP" in refused(whole(hidden))
    memo = text("posix") + b"q\x00" + text("system") + b"q\x01" + text("mace.a") + text("b")
    assert "asks for 'posix.system'" in refused(whole(memo + b"h\x00h\x01\x93"))


NESTED = b")" + b"\x85" * 200
TWICE = b")" + b"".join(b"q%c" % i + b"h%c" % i + b"\x86" for i in range(60))


@pytest.mark.parametrize(
    ("pickle", "words"),
    [
        (b"", "is damaged, or its pickle was not"),
        (whole(), "is damaged, or its pickle was not"),
        (whole(b"("), "is damaged, or its pickle was not"),
        (b"\x80\x02N", "is damaged, or its pickle was not"),
        (whole(b"h\x05"), "is damaged, or its pickle was not"),
        (whole(b"I12\n"), "operation INT"),
        (whole(b"(cposix\nsystem\no"), "operation OBJ"),
        (whole(b"(iposix\nsystem\n"), "operation INST"),
        (whole(b"\x82\x01"), "operation EXT1"),
        (whole(b"N2"), "operation DUP"),
        (whole(b"P1\n"), "operation PERSID"),
        (whole(b"N)R"), "it calls something that is no class"),
        (whole(name("mace", "x"), b"NR"), "it calls something that is no class"),
        (whole(b"N}b"), "a state to an object that has none"),
        (whole(b"NNa"), "is damaged"),
        (whole(b"](NNu"), "is damaged"),
        (whole(b"}(NNe"), "is damaged"),
        (whole(b"}(NNu"), "keys that are not text"),
        (whole(b"}", many(many(b"N")), b"Ns"), "keys that are not text"),
        (whole(b"\x8f(N\x90"), "keys that are not text"),
        (whole(called(name("builtins", "set"), b"](]e")), "keys that are not text"),
        (whole(called(name("builtins", "set"), text("abc"))), "made of something else than a list"),
        (whole(called(name("collections", "OrderedDict"), integer(3))),
         "made of something else than a list"),
        (whole(called(name("_codecs", "encode"), text("a"), text("rot13"))),
         "not as torch writes them"),
        (whole(called(name("builtins", "getattr"), integer(1), text("x"))), "of something that"),
        (whole(called(name("numpy", "dtype"), text("O8"))), "numbers of the type 'O8'"),
        (whole(called(name("numpy", "dtype"), text("V99"))), "numbers of the type 'V99'"),
        (whole(called(name("numpy.core.multiarray", "scalar"), b"N", b"N")),
         "a scalar of NumPy has no number"),
        (model(_modules=dictionary(a=b"]")), "has a list 'a' in _modules"),
        (model(_parameters=dictionary(a=text("x"))), "has a str 'a' in _parameters"),
        (model(a=NESTED), "nested more than 100 levels deep"),
        (model(a=TWICE), "refers to more than 4,194,304 values"),
        (whole(b"]q\x00h\x00a"), "an object that contains itself"),
        (whole(module("mace.modules.models", "MACE", x=b"N"), b"q\x00}", text("self"), b"h\x00sb"),
         "itself"),
        (whole(b"N" * (2**20 + 5)), "more than 1,048,576 operations"),
        (whole(b"]" * 600_000), "far more objects than its size allows"),
        (whole(text("\U0001f600" + "x" * 20_000_000)), "far more objects than its size allows"),
        (whole(text("x" * 1_000_000), b"q\x00", called(name("_codecs", "encode"), b"h\x00") * 100),
         "far more objects than its size allows"),
    ],
)  # fmt: skip
def test_damaged_pickles(refused, pickle, words):
    assert words in refused(pickle)


@pytest.mark.parametrize(
    ("storage", "options", "words"),
    [
        (tf.storage(size=4), {}, "tensor data '0' has 24 bytes, not 4 numbers of DoubleStorage"),
        (tf.storage(key="1"), {}, "There is no item named"),
        (tf.storage(key="../0"), {}, "There is no item named"),
        (tf.storage(kind="ComplexDoubleStorage"), {}, "asks for 'torch.ComplexDoubleStorage'"),
        (name("torch", "float32"), {}, "a tensor has an impossible shape"),
        (None, {"offset": 1}, "reaches beyond its data"),
        (None, {"shape": (4,)}, "reaches beyond its data"),
        (None, {"shape": (2, 2), "strides": (2, 2)}, "reaches beyond its data"),
        (None, {"strides": (2,)}, "reaches beyond its data"),
        (None, {"offset": -1}, "an impossible shape"),
        (None, {"strides": (-1,)}, "an impossible shape"),
        (None, {"strides": (1, 1)}, "an impossible shape"),
        (None, {"shape": (1,) * 17, "strides": (1,) * 17}, "an impossible shape"),
        (None, {"shape": (2**50,), "strides": (0,)}, "an impossible shape"),
        (None, {"shape": (200_000,), "strides": (0,)}, "repeat the same numbers"),
        (None, {"shape": (2**40, 2**40), "strides": (0, 0)}, "repeat the same numbers"),
    ],
)  # fmt: skip
def test_tensors_that_are_none(refused, storage, options, words):
    assert words in refused(model(_buffers=dictionary(a=tf.tensor(storage, **options))))


def test_a_storage_of_two_types(refused):
    buffers = dictionary(
        a=tf.tensor(), b=tf.tensor(tf.storage(kind="LongStorage"))
    )  # fmt: skip
    assert "tensor data '0' has two types" in refused(model(_buffers=buffers))


def test_a_packed_file(refused):
    assert "is compressed, which torch never does" in refused(model(), method=zipfile.ZIP_DEFLATED)
    bomb = refused(model(a=text("x" * 10_000)), method=zipfile.ZIP_DEFLATED)
    assert "is compressed, which torch never does" in bomb


def test_another_byte_order(refused):
    assert "other byte order" in refused(model(), extra={"byteorder": b"big"})


def test_a_file_without_byte_order(read):
    assert read(model(), extra={"byteorder": None}).kind == "MACE"


def test_a_member_twice(tmp_path):
    path = tf.write(tmp_path / "x.model", model(), STORAGES)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("x/data/0", b"")
    with pytest.raises(ConvertError, match="has the member 'x/data/0' 2 times"):
        read_records(path)


def test_two_pickles(refused):
    assert "holds 2 members '*/data.pkl'" in refused(model(), extra={"y/data.pkl": b"."})


def test_a_damaged_storage(tmp_path):
    pickle = model(_buffers=dictionary(a=tf.tensor()))
    path = tf.write(tmp_path / "x.model", pickle, STORAGES)
    data = path.read_bytes()
    path.write_bytes(data.replace(THREE.tobytes(), THREE[::-1].tobytes()))
    with pytest.raises(ConvertError, match="is damaged: Bad CRC-32"):
        read_records(path)


def test_nothing_of_torch_is_imported(tmp_path):
    path = tf.write(tmp_path / "x.model", model(), STORAGES)
    folder = tmp_path / "poison"
    folder.mkdir()
    for package in ("torch", "e3nn", "mace"):
        (folder / f"{package}.py").write_text("raise SystemExit('imported')")
    code = (
        "import sys, lammps_mace.convert as c\n"
        "from lammps_mace.convert.torch.reader import read_records\n"
        "print(read_records(sys.argv[1]).kind, {'torch', 'e3nn', 'mace'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(folder)},
    )
    assert done.stdout == "MACE set()\n", done.stderr


# Real files.
def test_every_model_of_mace_torch_is_read():
    folders = sorted(tf.model_folder().glob("chance_*"))
    assert len(folders) >= 40
    for folder in folders:
        found = read_records(folder / "model.model")
        got = arrays(found)
        assert found.class_name.startswith("mace.modules.models.")
        reference = np.load(folder / "reference.npz")
        assert set(reference["numbers"]) <= set(got["atomic_numbers"])
        weights = [array for path, array in got.items() if path.endswith("weight")]
        assert all(np.isfinite(array).all() for array in weights)
        assert sum(array.size for array in weights) > 100
