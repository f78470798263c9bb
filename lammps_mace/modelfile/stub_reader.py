"""X.model, read without an unpickler: its few operations are compared with those of a stub."""

from __future__ import annotations

import os
import pickle
import pickletools
import re

from lammps_mace.errors import ModelFileError
from lammps_mace.stub import UnifiedModel

MOST_STUB_BYTES = 2**14
_LONGEST_NAME, _LONGEST_FOLDER = 255, 4096
_SHA256 = re.compile("[0-9a-f]{64}")
_TEXT = {"SHORT_BINUNICODE", "BINUNICODE"}
_NO_MEANING = {"FRAME", "MEMOIZE"}  # sizes for the reader, names that nothing refers to


def _operations(data: bytes) -> tuple[list[str], list[str]]:
    """Return the operations of a pickle, every text as one kind, and the texts."""
    operations: list[str] = []
    texts: list[str] = []
    end = 0
    for operation, argument, position in pickletools.genops(data):
        end = (position or 0) + 1
        if operation.name in _TEXT:
            texts.append(str(argument))
        if operation.name == "GLOBAL":
            texts += str(argument).split(" ")
        if operation.name not in _NO_MEANING:
            operations.append("text" if operation.name in _TEXT else operation.name)
    if end != len(data):
        operations.append("more")
    return operations, texts


_STUB, _STUB_TEXTS = _operations(pickle.dumps(UnifiedModel("x", "y", "z"), protocol=4))


def read_stub(data: bytes, name: str) -> UnifiedModel:
    """Return the stub that X.model holds; nothing of the pickle is ever executed.

    Raises:
        ModelFileError: the pickle holds anything else.
    """
    refused = f"{name!r} is not a model file of lammps-mace"
    if len(data) > MOST_STUB_BYTES:
        raise ModelFileError(f"{refused}: it has more than {MOST_STUB_BYTES:,} bytes")
    try:
        operations, texts = _operations(data)
    except ValueError:
        raise ModelFileError(f"{refused} (not a pickle)") from None
    class_name = ".".join(_STUB_TEXTS[:2])
    if {"GLOBAL", "STACK_GLOBAL"} & set(operations) and ".".join(texts[:2]) != class_name:
        raise ModelFileError(
            f"{refused}: the pickle asks for {'.'.join(texts[:2])[:100]!r}, which was not "
            "executed; write model files with lammps_mace.save_model or 'lammps-mace convert'"
        )
    labels = slice(0, None, 2)  # of the fields; their values lie between
    if operations != _STUB or texts[2:][labels] != _STUB_TEXTS[2:][labels]:
        raise ModelFileError(
            f"{refused}: the pickle holds another object; write model files with "
            "lammps_mace.save_model or 'lammps-mace convert'"
        )
    stub = UnifiedModel(*texts[3::2])
    check_stub(stub, name)
    return stub


def check_stub(stub: UnifiedModel, name: str) -> None:
    """Check what someone else may have unpickled.

    Raises:
        ModelFileError: a field is missing or cannot be what it should be.
    """
    fields = vars(stub)
    for field, longest in (("name", _LONGEST_NAME), ("folder", _LONGEST_FOLDER)):
        text = fields.get(field)
        if not isinstance(text, str) or len(text) > longest or "\0" in text:
            raise ModelFileError(f"{name!r} is damaged: its {field} is no name of a file or folder")
    if not stub.name or {os.sep, "/"} & set(stub.name):
        raise ModelFileError(f"{name!r} is damaged: its name is that of no file in a folder")
    digest = fields.get("sidecar_sha256")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise ModelFileError(f"{name!r} is damaged: its sidecar_sha256 is no SHA-256")
