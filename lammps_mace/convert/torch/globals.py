"""Which names a torch file may ask for, and what is made of them: never the thing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from lammps_mace.convert.torch.records import Record, Reference
from lammps_mace.errors import ConvertError

# Objects of these become records. Nothing of these packages is imported.
_PACKAGES = ("mace", "e3nn", "torch", "numpy", "opt_einsum_fx")
_SINGLE = {
    "collections.OrderedDict", "_codecs.encode", "builtins.set", "builtins.slice",
    "builtins.getattr", "copyreg._reconstructor", "builtins.object",
}  # fmt: skip
_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # names of Python 2
# numpy's scalars and arrays: avg_num_neighbors and E0 of some files.
_NUMPY_KINDS = "fiub"


def reference(module: str, name: str) -> Reference:
    """Return a name that the file asks for.

    Raises:
        ConvertError: no MACE needs it.
    """
    module = _OLD_MODULES.get(module, module)
    full = f"{module}.{name}"
    if full not in _SINGLE and module.split(".")[0] not in _PACKAGES:
        shown = full if len(full) <= 100 else full[:100] + "..."
        raise ConvertError(
            f"the pickle asks for {shown!r}, which no MACE model needs; nothing was executed"
        )
    return Reference(full)


def call(function: Any, args: Any, view: Callable[..., np.ndarray]) -> Any:
    """Return what calling a name of the file gives: a container, an array or a record.

    Args:
        view: makes a tensor of a storage.
    """
    if not isinstance(function, Reference) or not isinstance(args, tuple):
        raise ConvertError("the file is damaged: its pickle calls what is no class")
    special = _SPECIAL.get(function.class_name)
    if function.class_name == "torch._utils._rebuild_tensor_v2":
        return view(*args[:4])
    return special(*args) if special else Record(function.class_name, args)


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _ordered(items: Any = ()) -> dict[Any, Any]:
    pairs = [(key, value) for key, value in items]
    check_keys(key for key, _ in pairs)
    return dict(pairs)


def _set(items: Any = ()) -> frozenset[Any]:
    check_keys(items)
    return frozenset(items)


def check_keys(keys: Iterable[Any]) -> None:
    """Raise :class:`ConvertError` for keys but text, numbers and pairs of these.

    Python hashes a nested tuple with all that it holds, which may take for ever.
    """
    for key in keys:
        parts = key if isinstance(key, tuple) else (key,)
        if not all(isinstance(part, str | int) for part in parts):
            raise ConvertError("the file is damaged: a dictionary has keys that are no text")


def _bytes(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ConvertError("the file is damaged: its bytes are not written as torch does")
    return text.encode("latin1")


def _attribute(owner: Any, name: Any) -> Reference:
    if not isinstance(owner, Reference) or not isinstance(name, str):
        raise ConvertError("the file is damaged: it asks for an attribute of what is no class")
    return Reference(f"{owner.class_name}.{name}")


def _graph_module(state: Any, *_: Any) -> Record:
    """Return compiled code without its code: a module with buffers."""
    record = Record("torch.fx.graph_module.GraphModule")
    if isinstance(state, dict):
        record.restore(state)
    return record


def _dtype(code: Any, *_: Any) -> np.dtype:
    if not isinstance(code, str) or code[:1] not in _NUMPY_KINDS or not code[1:].isdecimal():
        raise ConvertError(f"the file is damaged: it holds numbers of the type {code!r:.50}")
    return np.dtype(code)


def _scalar(dtype: Any, data: Any) -> Any:
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes):
        raise ConvertError("the file is damaged: a number of numpy is none")
    return np.frombuffer(data, dtype, count=1)[0].item()


def _empty_array(*_: Any) -> Record:
    return Record("numpy.ndarray")


def restore_array(state: Any) -> np.ndarray:
    """Return the array of numpy that a pickle's state describes."""
    _, shape, dtype, fortran, data = state
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes):
        raise ConvertError("the file is damaged: an array of numpy does not hold numbers")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


_SPECIAL: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.fx.graph_module.reduce_graph_module": _graph_module,
    "torch.Size": lambda items=(): tuple(items),
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
