"""Names that a torch file may ask for, and the inert objects that are made in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from lammps_mace.convert.torch.records import Record, Reference
from lammps_mace.convert.torch.tensors import STORAGES
from lammps_mace.errors import ConvertError
from lammps_mace.modelfile.validation import shortened

# Objects of classes in these become records. Nothing of them is imported.
_PACKAGES = ("mace.", "e3nn.", "torch.nn.", "torch.fx.", "torch.utils.")
_SINGLE = {
    "collections.OrderedDict", "_codecs.encode", "builtins.set", "builtins.slice",
    "builtins.getattr", "torch.Size", "torch.device", "torch._C._VariableFunctionsClass",
    "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state", "torch.tanh", "torch.abs", "torch.sigmoid",
    "torch.float16", "torch.bfloat16", "torch.float32", "torch.float64", "torch.int32",
    "torch.int64", "torch.bool", "numpy.dtype", "numpy.ndarray",
    *(f"numpy.{core}.multiarray.{name}"
      for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
}  # fmt: skip
_OLD_MODULES = {"__builtin__.": "builtins.", "copy_reg.": "copyreg."}
# numpy's scalars and arrays: avg_num_neighbors and E0 of some files.
_NUMPY_KINDS = "fiub"


def reference(module: Any, name: Any) -> Reference:
    """Return a name that the file asks for.

    Raises:
        ConvertError: no MACE needs it.
    """
    full = full_name(f"{module}.{name}")
    if not is_known(full):
        raise ConvertError(refusal(full))
    return Reference(full)


def full_name(name: str) -> str:
    """Return the name in Python 3: torch writes those of Python 2."""
    for old, new in _OLD_MODULES.items():
        name = name.replace(old, new, 1) if name.startswith(old) else name
    return name


def is_known(name: str) -> bool:
    """Return whether a file of a MACE may ask for a name."""
    return name in _SINGLE or name in STORAGES or name.startswith(_PACKAGES)


def refusal(name: str) -> str:
    """Return why a file that asks for a name is refused."""
    return f"asks for {shortened(name)!r}, which no MACE model needs; nothing was executed"


def call(name: str, args: tuple[Any, ...]) -> Any:
    """Return what calling a name of the file gives: a container, an array or a record."""
    special = _SPECIAL.get(name)
    return special(*args) if special else Record(name, args)


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _ordered(items: Any = ()) -> dict[Any, Any]:
    pairs = [(key, value) for key, value in _sequence(items)]
    check_keys(key for key, _ in pairs)
    return dict(pairs)


def _set(items: Any = ()) -> frozenset[Any]:
    check_keys(_sequence(items))
    return frozenset(items)


def _size(items: Any = ()) -> tuple[Any, ...]:
    return tuple(_sequence(items))


def _sequence(items: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(items, list | tuple):
        raise ConvertError("is damaged: a container is made of something else than a list")
    return items


def check_keys(keys: Iterable[Any]) -> None:
    """Raise :class:`ConvertError` for keys but text, numbers and pairs of these.

    Python hashes a nested tuple with all that it holds, which may take for ever.
    """
    for key in keys:
        parts = key if isinstance(key, tuple) else (key,)
        if not all(isinstance(part, str | int) for part in parts):
            raise ConvertError("is damaged: a dictionary has keys that are not text")


def _bytes(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ConvertError("is damaged: its bytes are not as torch writes them")
    return text.encode("latin1")


def _attribute(owner: Any, name: Any) -> Reference:
    if not isinstance(owner, Reference) or not isinstance(name, str):
        raise ConvertError("is damaged: it asks for an attribute of something that is no class")
    return Reference(f"{owner.class_name}.{name}")


def _graph_module(state: Any, *_: Any) -> Record:
    """Return a compiled module as a record of its buffers, without the code."""
    record = Record("torch.fx.graph_module.GraphModule")
    if isinstance(state, dict):
        record.restore(state)
    return record


def _dtype(code: Any, *_: Any) -> np.dtype:
    if not isinstance(code, str) or code[:1] not in _NUMPY_KINDS or not code[1:].isdecimal():
        raise ConvertError(f"is damaged: it holds numbers of the type {code!r:.50}")
    return np.dtype(code)


def _scalar(dtype: Any, data: Any) -> Any:
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes):
        raise ConvertError("is damaged: a scalar of NumPy has no number")
    return np.frombuffer(data, dtype, count=1)[0].item()


def _empty_array(*_: Any) -> Record:
    return Record("numpy.ndarray")


def restore_array(state: Any) -> np.ndarray:
    """Return the array of numpy that a pickle's state describes."""
    _, shape, dtype, fortran, data = state
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes):
        raise ConvertError("is damaged: an array of NumPy does not hold numbers")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


_SPECIAL: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.fx.graph_module.reduce_graph_module": _graph_module,
    "torch.Size": _size,
    "collections.OrderedDict": _ordered,
    "builtins.set": _set,
    "builtins.getattr": _attribute,
    "_codecs.encode": _bytes,
    "numpy.dtype": _dtype,
    **{
        f"numpy.{core}.multiarray.{name}": function
        for core in ("core", "_core")
        for name, function in (("scalar", _scalar), ("_reconstruct", _empty_array))
    },
}
