"""Limits for the objects of a pickle: memory, nesting, and the values that they refer to."""

from __future__ import annotations

from typing import Any

from lammps_mace.convert.torch.records import Record
from lammps_mace.errors import ConvertError

_FREE_BYTES = 2**25  # a small model has a pickle of a third of a megabyte
_OPERATION_BYTES, _ITEM_BYTES = 64, 64
_DEEPEST = 100
_MOST_VALUES = 2**22  # each value counted as often as something refers to it


class Budget:
    """Memory for the objects of a pickle; the data of its tensors do not count.

    Args:
        file_bytes: of the file.
    """

    def __init__(self, file_bytes: int) -> None:
        self._left = _FREE_BYTES + file_bytes

    def spend(self, size: int) -> None:
        """Subtract the memory of one operation.

        Raises:
            ConvertError: nothing is left.
        """
        self._left -= _OPERATION_BYTES + size
        if self._left < 0:
            raise ConvertError("makes far more objects than its size allows")

    def spend_contents(self, *values: Any) -> None:
        """Subtract the memory of copies of what these containers hold."""
        for value in values:
            if isinstance(value, str | bytes):
                self.spend(len(value))
            elif isinstance(value, list | tuple | dict | set | frozenset):
                self.spend(_ITEM_BYTES * len(value))


def check_tree(root: Any) -> None:
    """Check that the objects of a pickle form a tree of bounded depth and size.

    Raises:
        ConvertError: they form a cycle, or exceed a limit.
    """
    sizes: dict[int, int] = {}
    stack: list[tuple[Any, list[Any], int]] = [(root, _contents(root), 1)]
    on_stack = {id(root)}
    while stack:
        value, rest, size = stack.pop()
        if rest:
            inner = rest.pop()
            stack.append((value, rest, size + sizes.get(id(inner), 1)))
            if id(inner) in on_stack:
                raise ConvertError("holds an object that contains itself, which no model does")
            if id(inner) not in sizes and (contents := _contents(inner)):
                stack[-1] = (value, rest, size)
                stack.append((inner, contents, 1))
                on_stack.add(id(inner))
            if len(stack) > _DEEPEST:
                raise ConvertError(f"is nested more than {_DEEPEST} levels deep, which no model is")
            continue
        if size > _MOST_VALUES:
            raise ConvertError(f"refers to more than {_MOST_VALUES:,} values, which no model does")
        sizes[id(value)] = size
        on_stack.discard(id(value))
        if stack:
            outer, others, so_far = stack.pop()
            stack.append((outer, others, so_far + size))


def _contents(value: Any) -> list[Any]:
    if isinstance(value, Record):
        groups = (value.attributes, value.modules)
        return [*value.args, *(inner for group in groups for inner in group.values())]
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []
