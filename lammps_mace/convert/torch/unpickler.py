"""Reads a pickle with a stack machine that can make records, containers and arrays only.

Python's own unpickler cannot be bounded: it hashes nested tuples without end, and a subclass sees
neither its containers nor its memo. Here every operation that is not in the table is refused.
"""

from __future__ import annotations

import pickletools
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lammps_mace.convert.torch.budget import Budget
from lammps_mace.convert.torch.globals import call, check_keys, reference, restore_array
from lammps_mace.convert.torch.records import Record, Reference
from lammps_mace.convert.torch.tensors import STORAGES, Storages
from lammps_mace.errors import ConvertError
from lammps_mace.modelfile.validation import shortened

_MOST_OPERATIONS = 2**20
_DAMAGED = "is damaged, or its pickle was not written by torch"
_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TEXTS = {"BINUNICODE", "SHORT_BINUNICODE"}
_VALUES = _TEXTS | {
    "BININT", "BININT1", "BININT2", "BINFLOAT", "LONG1", "BINBYTES", "SHORT_BINBYTES",
}  # fmt: skip
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set,
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NO_MEANING = {"PROTO", "FRAME", "STOP"}


def _operations(data: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the operations of a pickle, as many as a model can have.

    Raises:
        ConvertError: it is no whole pickle.
    """
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(data)):
            if count == _MOST_OPERATIONS:
                raise ConvertError(
                    f"has a pickle of more than {_MOST_OPERATIONS:,} operations, as no model has"
                )
            yield operation.name, argument
    except ConvertError:
        raise
    except (ValueError, OverflowError, struct.error) as error:
        raise ConvertError(f"{_DAMAGED}: {shortened(str(error))}") from None


def names_in(data: bytes) -> list[str]:
    """Return the names that a pickle asks for, in their order; nothing is made of any.

    Raises:
        ConvertError: the pickle is damaged, or has operations that no file of torch has.
    """
    names: dict[str, None] = {}
    texts = ["", ""]
    for name, argument in _operations(data):
        if name not in _KNOWN:
            raise ConvertError(f"{_DAMAGED}: it has the operation {name}")
        if name in _TEXTS:
            texts = [texts[1], argument]
        elif name == "GLOBAL":
            names[argument.replace(" ", ".")] = None
        elif name == "STACK_GLOBAL":
            names[".".join(texts)] = None
    return list(names)


def unpickle(data: bytes, storages: Storages, budget: Budget) -> Any:
    """Return what a pickle describes.

    Raises:
        ConvertError: it is damaged, or asks for anything but records, containers and arrays.
    """
    machine = _Machine(storages, budget)
    try:
        for name, argument in _operations(data):
            machine.do(name, argument)
        return machine.pop()
    except ConvertError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError) as error:
        raise ConvertError(f"{_DAMAGED}: {shortened(str(error))}") from None


class _Machine:
    def __init__(self, storages: Storages, budget: Budget) -> None:
        self._storages, self._budget = storages, budget
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
        self._budget.spend(sys.getsizeof(argument))
        if name in _VALUES:
            push(argument)
        elif name in _CONSTANTS:
            push(_CONSTANTS[name])
        elif name in _EMPTY:
            push(_EMPTY[name]())
        elif name in _TUPLES:
            push(tuple(self.pop() for _ in range(_TUPLES[name]))[::-1])
        elif name in _OPERATIONS:
            _OPERATIONS[name](self, argument)
        elif name not in _NO_MEANING:
            raise ConvertError(f"{_DAMAGED}: it has the operation {name}")

    def _mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _put(self, at: int) -> None:
        self._memo[at] = self._stack[-1]

    def _memoize(self, _: Any) -> None:
        self._put(len(self._memo))

    def _get(self, at: int) -> None:
        self._stack.append(self._memo[at])

    def _popped_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            items.append(value)
        return items[::-1]

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._popped_to_mark()))

    def _global(self, argument: str) -> None:
        self._stack.append(reference(*argument.split(" ", 1)))

    def _stack_global(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        self._stack.append(reference(module, name))

    def _reduce(self, _: Any) -> None:
        args, function = self.pop(), self.pop()
        if not isinstance(function, Reference) or not isinstance(args, tuple):
            raise ConvertError(f"{_DAMAGED}: it calls something that is no class")
        self._budget.spend_contents(function.class_name, *args)
        if function.class_name == "torch._utils._rebuild_tensor_v2":
            self._stack.append(self._storages.view(*args[:4]))
        else:
            self._stack.append(call(function.class_name, args))

    def _build(self, _: Any) -> None:
        state, target = self.pop(), self._stack[-1]
        if isinstance(target, Record) and target.class_name == "numpy.ndarray":
            self._stack[-1] = restore_array(state)
        elif isinstance(target, np.dtype):
            self._stack[-1] = target.newbyteorder(">" if state[1] == ">" else "<")
        elif isinstance(target, Record | dict):  # a state_dict is a dictionary with a state
            parts = state if isinstance(state, tuple) else (state,)
            parts = tuple(part for part in parts if part is not None)
            self._budget.spend_contents(*parts)
            if isinstance(target, Record):
                target.restore({key: value for part in parts for key, value in part.items()})
        else:
            raise ConvertError(f"{_DAMAGED}: it gives a state to an object that has none")

    def _append(self, _: Any) -> None:
        self._extend([self.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._popped_to_mark())

    def _extend(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise ConvertError(_DAMAGED)
        self._stack[-1].extend(values)

    def _set_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self._update([key, value])

    def _set_items(self, _: Any) -> None:
        self._update(self._popped_to_mark())

    def _update(self, items: list[Any]) -> None:
        if type(self._stack[-1]) is not dict:
            raise ConvertError(_DAMAGED)
        check_keys(items[::2])
        self._budget.spend_contents(items)
        self._stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def _add_items(self, _: Any) -> None:
        values = self._popped_to_mark()
        if type(self._stack[-1]) is not set:
            raise ConvertError(_DAMAGED)
        check_keys(values)
        self._budget.spend_contents(values)
        self._stack[-1].update(values)

    def _persistent(self, _: Any) -> None:
        kind, storage, key, _device, size = self.pop()
        if kind != "storage" or not isinstance(storage, Reference) or not isinstance(key, str):
            raise ConvertError(_DAMAGED)
        if storage.class_name not in STORAGES:
            raise ConvertError(
                f"holds tensors of the type {shortened(storage.class_name)!r}, which are not "
                "read; convert the model to float32 in torch: model.float()"
            )
        self._stack.append(self._storages.load(storage.kind, key, size))


_OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine._mark,
    "BINPUT": _Machine._put,
    "LONG_BINPUT": _Machine._put,
    "MEMOIZE": _Machine._memoize,
    "BINGET": _Machine._get,
    "LONG_BINGET": _Machine._get,
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
_KNOWN = {*_VALUES, *_CONSTANTS, *_EMPTY, *_TUPLES, *_OPERATIONS, *_NO_MEANING}
