"""A pickle, read by a stack machine that can make records, containers and arrays only.

Python's own unpickler cannot be bounded: it hashes nested tuples without end, and a subclass sees
neither its containers nor its memo. Here every operation that is not in the table is refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

from lammps_mace.convert.torch.globals import call, check_keys, reference, restore_array
from lammps_mace.convert.torch.records import Record, Reference
from lammps_mace.convert.torch.tensors import STORAGES, Storages
from lammps_mace.errors import ConvertError

_DAMAGED = "the file is damaged, or its pickle is none that torch writes"
_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {
    "BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "BINFLOAT", "LONG1",
    "BINBYTES", "SHORT_BINBYTES",
}  # fmt: skip
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set,
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NO_MEANING = {"PROTO", "FRAME"}


def unpickle(data: bytes, storages: Storages) -> Any:
    """Return what a pickle describes.

    Raises:
        ConvertError: it is damaged, or asks for anything but records, containers and arrays.
    """
    machine = _Machine(storages)
    try:
        for operation, argument, _ in pickletools.genops(data):
            if operation.name == "STOP":
                return machine.pop()
            machine.do(operation.name, argument)
    except ConvertError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise ConvertError(f"{_DAMAGED}: {str(error)[:100]}") from None
    raise ConvertError(_DAMAGED)


class _Machine:
    def __init__(self, storages: Storages) -> None:
        self._storages = storages
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ConvertError(_DAMAGED)
        return value

    def do(self, name: str, argument: Any) -> None:
        """Do one operation."""
        push = self._stack.append
        if name in _VALUES:
            push(argument)
        elif name in _CONSTANTS:
            push(_CONSTANTS[name])
        elif name in _EMPTY:
            push(_EMPTY[name]())
        elif name in _TUPLES:
            push(tuple(self.pop() for _ in range(_TUPLES[name]))[::-1])
        elif name == "MARK":
            push(_MARK)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            push(self._memo[argument])
        elif name in _OPERATIONS:
            _OPERATIONS[name](self, argument)
        elif name not in _NO_MEANING:
            raise ConvertError(f"{_DAMAGED}: it has the operation {name}")

    def _popped_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            items.append(value)
        return items[::-1]

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._popped_to_mark()))

    def _global(self, argument: Any) -> None:
        module, name = argument.split(" ", 1)
        self._stack.append(reference(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        self._stack.append(reference(module, name))

    def _reduce(self, _: Any) -> None:
        args, function = self.pop(), self.pop()
        self._stack.append(call(function, args, self._storages.view))

    def _build(self, _: Any) -> None:
        state, target = self.pop(), self._stack[-1]
        if isinstance(state, tuple) and len(state) == 2 and isinstance(target, Record):
            state = {**(state[0] or {}), **(state[1] or {})}
        if isinstance(target, Record) and target.class_name == "numpy.ndarray":
            self._stack[-1] = restore_array(state)
        elif isinstance(target, Record) and isinstance(state, dict):
            target.restore(state)
        elif isinstance(target, np.dtype):
            self._stack[-1] = target.newbyteorder(">" if state[1] == ">" else "<")

    def _append(self, _: Any) -> None:
        value = self.pop()
        self._list().append(value)

    def _appends(self, _: Any) -> None:
        values = self._popped_to_mark()
        self._list().extend(values)

    def _list(self) -> list[Any]:
        if type(self._stack[-1]) is not list:
            raise ConvertError(_DAMAGED)
        return self._stack[-1]

    def _set_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self._update([key, value])

    def _set_items(self, _: Any) -> None:
        self._update(self._popped_to_mark())

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        keys, values = items[::2], items[1::2]
        if type(target) is not dict:
            raise ConvertError(_DAMAGED)
        check_keys(keys)
        target.update(zip(keys, values, strict=True))

    def _add_items(self, _: Any) -> None:
        values = self._popped_to_mark()
        if type(self._stack[-1]) is not set:
            raise ConvertError(_DAMAGED)
        check_keys(values)
        self._stack[-1].update(values)

    def _persistent(self, _: Any) -> None:
        kind, storage, key, _device, size = self.pop()
        if kind != "storage" or not isinstance(storage, Reference) or not isinstance(key, str):
            raise ConvertError(_DAMAGED)
        if storage.class_name not in STORAGES:
            raise ConvertError(
                f"tensors of the type {storage.class_name[:100]!r} are not read; "
                "convert the model to float32 in torch: model.float()"
            )
        self._stack.append(self._storages.load(storage.kind, key, size))


_OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "TUPLE": _Machine._tuple,
    "GLOBAL": _Machine._global,
    "STACK_GLOBAL": _Machine._stack_global,
    "REDUCE": _Machine._reduce,
    "NEWOBJ": _Machine._reduce,
    "BUILD": _Machine._build,
    "APPEND": _Machine._append,
    "APPENDS": _Machine._appends,
    "SETITEM": _Machine._set_item,
    "SETITEMS": _Machine._set_items,
    "ADDITEMS": _Machine._add_items,
    "BINPERSID": _Machine._persistent,
}
