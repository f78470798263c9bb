"""Bounds on what a pickle may make: memory, depth, and values counted as often as they are seen."""

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
        """Take the memory of one operation.

        Raises:
            ConvertError: nothing is left.
        """
        self._left -= _OPERATION_BYTES + size
        if self._left < 0:
            raise ConvertError("makes far more objects of its bytes than any model does")

    def spend_contents(self, *values: Any) -> None:
        """Take the memory of copies of what these hold, if anything."""
        for value in values:
            if isinstance(value, str | bytes):
                self.spend(len(value))
            elif isinstance(value, list | tuple | dict | set | frozenset):
                self.spend(_ITEM_BYTES * len(value))


def check_tree(root: Any) -> None:
    """Check that what a pickle made can be walked through: it ends, soon, and holds no circle.

    Raises:
        ConvertError: it cannot.
    """
    sizes: dict[int, int] = {}
    way: list[tuple[Any, list[Any], int]] = [(root, _contents(root), 1)]
    on_way = {id(root)}
    while way:
        value, rest, size = way.pop()
        if rest:
            inner = rest.pop()
            way.append((value, rest, size + sizes.get(id(inner), 1)))
            if id(inner) in on_way:
                raise ConvertError("holds an object that is a part of itself, as in no model")
            if id(inner) not in sizes and (contents := _contents(inner)):
                way[-1] = (value, rest, size)
                way.append((inner, contents, 1))
                on_way.add(id(inner))
            if len(way) > _DEEPEST:
                raise ConvertError(f"is nested more than {_DEEPEST} levels deep, as no model is")
            continue
        if size > _MOST_VALUES:
            raise ConvertError(f"refers to more than {_MOST_VALUES:,} values, as no model does")
        sizes[id(value)] = size
        on_way.discard(id(value))
        if way:
            outer, others, so_far = way.pop()
            way.append((outer, others, so_far + size))


def _contents(value: Any) -> list[Any]:
    if isinstance(value, Record):
        groups = (value.attributes, value.modules)
        return [*value.args, *(inner for group in groups for inner in group.values())]
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []
