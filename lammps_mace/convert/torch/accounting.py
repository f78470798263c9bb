"""Checks that every module, parameter and buffer of a checkpoint is used, or has no effect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lammps_mace.convert.torch.records import Record, Reference, arrays, walk
from lammps_mace.errors import ConvertError

_SHOWN = 3  # names in one message


class Module:
    """A module of a checkpoint, which records what has been read of it."""

    def __init__(self, record: Record, path: str = "", taken: set[str] | None = None) -> None:
        self.record, self.path = record, path
        self._taken = set() if taken is None else taken
        self._taken.add(path)

    @property
    def kind(self) -> str:
        """The last part of the class's name."""
        return self.record.kind

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return self.path.replace("#", ".") or "the model"

    def __contains__(self, name: str) -> bool:
        return name in self.record

    def module(self, name: str, *kinds: str) -> Module:
        """Return a submodule, which must be one of these kinds.

        Raises:
            ConvertError: it is missing, or of another kind.
        """
        record = self.record.modules.get(name)
        if record is None:
            raise ConvertError(
                f"{self.place} has no {name!r}: the file is damaged or holds no MACE"
            )
        found = Module(record, self._below(name), self._taken)
        if found.kind not in kinds:
            raise ConvertError(
                f"{found.place} is a {record.class_name[:100]}; lammps-mace knows "
                f"{', '.join(kinds)} there"
            )
        return found

    def modules(self, name: str, *kinds: str) -> list[Module]:
        """Return what a list of modules holds, in its order."""
        container = self.module(name, "ModuleList", "Sequential")
        return [container.module(key, *kinds) for key in container.record.modules]

    def array(self, name: str, *shape: int) -> np.ndarray:
        """Return a parameter or buffer in float64.

        Args:
            shape: the required one, -1 for any length; without it any shape will do.

        Raises:
            ConvertError: it is missing, of another shape, or not finite.
        """
        found = self.record.parameters.get(name, self.record.buffers.get(name))
        if found is None:
            raise ConvertError(
                f"{self.place} has no {name!r}: the file is damaged or holds no MACE"
            )
        fits = len(found.shape) == len(shape) and all(
            wanted in (-1, size) for wanted, size in zip(shape, found.shape, strict=True)
        )
        if shape and not fits:
            raise ConvertError(
                f"{self.place}.{name} has shape {found.shape}; the model needs {shape}"
            )
        self._taken.add(self._below(name))
        if found.dtype.kind not in "fiu" or not np.isfinite(found).all():
            raise ConvertError(f"{self.place}.{name} has values that are not finite")
        return found.astype(np.float64)

    def scalar(self, name: str) -> np.ndarray:
        """Return a parameter or buffer of one number, of shape ()."""
        found = self.array(name)
        if found.size != 1:
            raise ConvertError(
                f"{self.place}.{name} has shape {found.shape}; it must be one number"
            )
        return found.reshape(())

    def attribute(self, name: str, *kinds: type, default: Any = ...) -> Any:
        """Return a plain attribute, which must be of one of these types.

        Raises:
            ConvertError: it is of another type, or missing and there is no default.
        """
        if default is not ... and name not in self.record.attributes:
            return default
        found = self.record.attributes.get(name, ...)
        if not isinstance(found, kinds) or (isinstance(found, bool) and bool not in kinds):
            raise ConvertError(
                f"{self.place}.{name} is {'missing' if found is ... else type(found).__name__}: "
                "the file is damaged or holds no MACE"
            )
        return found

    def number(self, name: str) -> float:
        """Return an attribute that is a finite number; a tensor of one number is one."""
        found = self.record.get(name)
        if isinstance(found, np.ndarray):
            if name in self.record.parameters or name in self.record.buffers:
                return float(self.scalar(name))
            found = found.item() if found.size == 1 else None
        if isinstance(found, bool) or not isinstance(found, float | int) or not np.isfinite(found):
            raise ConvertError(f"{self.place}.{name} is not a finite number")
        return float(found)

    def function(self, name: str) -> str:
        """Return the name of a function that is an attribute, such as 'silu'; 'none' for None."""
        found = self.record.get(name)
        if found is None:
            return "none"
        if not isinstance(found, Reference | Record):
            raise ConvertError(f"{self.place}.{name} is not a function: the file is damaged")
        return found.kind

    def ignore(self, *names: str) -> None:
        """Record that these arrays and modules, with all below them, have no effect."""
        for name in names:
            if name in self.record.modules:
                below = self._below(name)
                record = self.record.modules[name]
                self._taken.update(path for path, _ in walk(record, below))
                self._taken.update(f"{below}#{key}" for key in arrays(record))
            self._taken.add(self._below(name))

    def check_all_taken(self) -> None:
        """Check that everything in the module and below it was used or ignored.

        Raises:
            ConvertError: something was neither; the message names it.
        """
        left = [name for name in self._all() if name not in self._taken]
        if left:
            names = ", ".join(name.replace("#", ".")[:100] for name in left[:_SHOWN])
            more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
            raise ConvertError(
                f"the model has parts that lammps-mace does not know: {names}{more}; it would "
                "give wrong energies without them"
            )

    def _all(self) -> Iterator[str]:
        yield from (path for path, _ in walk(self.record, self.path))
        yield from (self._below(name) for name in arrays(self.record))

    def _below(self, name: str) -> str:
        return f"{self.path}#{name}" if self.path else name
