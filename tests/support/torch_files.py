"""Files as torch.save writes them, made by hand, any pickle in them; and where real ones are."""

import os
import struct
import zipfile
from pathlib import Path

import pytest

ENVIRONMENT = "LAMMPS_MACE_TORCH"  # a virtual environment with mace-torch, and its models/


def model_folder() -> Path:
    """Return the folder of the models that mace-torch made, or skip the test."""
    folder = os.environ.get(ENVIRONMENT)
    if not folder:
        pytest.skip(f"{ENVIRONMENT} names no environment with mace-torch: 'make test' makes one")
    return Path(folder, "models")


def write(path, pickle, storages=None, root="x", extra=None, method=zipfile.ZIP_STORED):
    """Write a file of torch: its pickle, key -> bytes of its storages, and other members."""
    members = {"data.pkl": pickle, "byteorder": b"little", "version": b"3\n", **(extra or {})}
    members |= {f"data/{key}": data for key, data in (storages or {}).items()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(f"{root}/{name}", data)
    return path


# Pieces of pickles: each leaves one value on the stack.
def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def name(module, leaf):
    return f"c{module}\n{leaf}\n".encode()


def integer(value):
    return b"J" + struct.pack("<i", value) if -(2**31) <= value < 2**31 else (
        b"\x8a\x09" + value.to_bytes(9, "little", signed=True)
    )  # fmt: skip


def many(*values):
    return b"(" + b"".join(values) + b"t"


def called(function, *args):
    return function + many(*args) + b"R"


def dictionary(**items):
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def module(module_name, leaf, **state):
    """Return an object of a class without arguments, with a state."""
    return name(module_name, leaf) + b")\x81" + dictionary(**state) + b"b"


def storage(key="0", kind="DoubleStorage", size=3):
    parts = many(text("storage"), name("torch", kind), text(key), text("cpu"), integer(size))
    return parts + b"Q"


def tensor(source=None, offset=0, shape=(3,), strides=(1,)):
    sizes, steps = many(*map(integer, shape)), many(*map(integer, strides))
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    return called(rebuild, source or storage(), integer(offset), sizes, steps)


def model(**state):
    """Return the pickle of a model with this state."""
    return b"\x80\x02" + module("mace.modules.models", "MACE", **state) + b"."


def whole(*values):
    return b"\x80\x02" + b"".join(values) + b"."
