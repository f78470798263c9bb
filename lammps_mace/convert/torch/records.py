"""What a torch file holds, as inert records: names, numbers and arrays, never code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from lammps_mace.errors import ConvertError
from lammps_mace.modelfile.validation import shortened

# Of torch.nn.Module itself: they say nothing about the network.
_BOOKKEEPING = {"training", "call_super_init", "dump_patches", "_version", "__codegen__",
                "_non_persistent_buffers_set"}  # fmt: skip
_GROUPS = ("_parameters", "_buffers", "_modules")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def _nothing() -> Mapping[str, Any]:
    return _NOTHING


@dataclass(frozen=True, slots=True)
class Reference:
    """A class or function that the file names without making an object of it."""

    class_name: str  # "torch.nn.functional.silu"

    @property
    def kind(self) -> str:
        """The last part of the name."""
        return self.class_name.rpartition(".")[2]


@dataclass(eq=False, slots=True)
class Record:
    """An object of the file.

    Attributes:
        class_name: with its module, such as ``mace.modules.models.ScaleShiftMACE``.
        args: what it was constructed with; irreps and instructions hold everything there.
        attributes: its plain attributes.
        parameters, buffers, modules: of a torch.nn.Module; else empty.
    """

    class_name: str
    args: tuple[Any, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=_nothing)
    parameters: Mapping[str, np.ndarray] = field(default_factory=_nothing)
    buffers: Mapping[str, np.ndarray] = field(default_factory=_nothing)
    modules: Mapping[str, Record] = field(default_factory=_nothing)

    @property
    def kind(self) -> str:
        """The last part of the class's name."""
        return self.class_name.rpartition(".")[2]

    def get(self, name: str, default: Any = None) -> Any:
        """Return what ``self.name`` is in torch: a module, parameter, buffer or attribute."""
        for group in (self.modules, self.parameters, self.buffers, self.attributes):
            if name in group:
                return group[name]
        return default

    def __contains__(self, name: str) -> bool:
        return any(
            name in group
            for group in (self.modules, self.parameters, self.buffers, self.attributes)
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set the state that the file gives the object.

        Raises:
            ConvertError: a module is not a record, or a parameter not an array.
        """
        groups = {name: _present(state.get(name)) for name in _GROUPS}
        for name, wanted in zip(_GROUPS, (np.ndarray, np.ndarray, Record), strict=True):
            for key, value in groups[name].items():
                if not isinstance(value, wanted):
                    raise ConvertError(
                        f"is damaged: {self.class_name} has a {type(value).__name__} "
                        f"{shortened(key)!r} in {name}"
                    )
        self.parameters, self.buffers, self.modules = (groups[name] for name in _GROUPS)
        self.attributes = {
            name: value for name, value in state.items() if not _is_bookkeeping(name)
        }


def _present(group: Any) -> dict[str, Any]:
    """Return what is not None: a linear map without bias has a parameter ``bias`` of None."""
    if not isinstance(group, dict):
        return {}
    return {str(name): value for name, value in group.items() if value is not None}


def _is_bookkeeping(name: str) -> bool:
    return name in _BOOKKEEPING or name in _GROUPS or (name[0] == "_" and "_hook" in name)


def walk(record: Record, path: str = "") -> Iterator[tuple[str, Record]]:
    """Yield every module below ``record`` and itself, with its path joined by '#'."""
    yield path, record
    for name, module in record.modules.items():
        yield from walk(module, f"{path}#{name}" if path else name)


def arrays(record: Record) -> dict[str, np.ndarray]:
    """Return every parameter and buffer, by its path joined by '#'."""
    return {
        f"{path}#{name}" if path else name: array
        for path, module in walk(record)
        for group in (module.parameters, module.buffers)
        for name, array in group.items()
    }


def irreps(value: Any) -> tuple[tuple[int, int, int], ...]:
    """Return e3nn's irreps, a record or a text, as (multiplicity, l, parity).

    Raises:
        ConvertError: it holds something else.
    """
    if isinstance(value, str):
        return tuple(_parse_irrep(part) for part in value.split("+") if part.strip())
    try:
        return tuple(_mul_irrep(*_plain(part)) for part in _plain(value))
    except (TypeError, ValueError):
        raise ConvertError(
            "is damaged: its irreps are not triples of multiplicity, degree and parity"
        ) from None


def _plain(value: Any) -> tuple[Any, ...]:
    """Return what a tuple of e3nn holds, made of one tuple or of its items."""
    args = value.args if isinstance(value, Record) else tuple(value)
    if isinstance(value, Record) and len(args) == 1 and isinstance(args[0], tuple | list):
        return tuple(args[0])
    return args


def _mul_irrep(multiplicity: Any, irrep: Any) -> tuple[int, int, int]:
    degree, parity = _plain(irrep)
    if not all(isinstance(number, int) for number in (multiplicity, degree, parity)):
        raise TypeError
    return multiplicity, degree, parity


def _parse_irrep(text: str) -> tuple[int, int, int]:
    count, _, irrep = text.strip().rpartition("x")
    if not irrep[:-1].isdecimal() or irrep[-1:] not in ("e", "o") or not (count or "1").isdecimal():
        raise ConvertError(f"is damaged: {shortened(text)!r} is no irrep")
    return int(count or 1), int(irrep[:-1]), 1 if irrep[-1] == "e" else -1


def instruction(value: Any) -> tuple[Any, ...]:
    """Return the fields of one of e3nn's instructions, in their order.

    Of a linear map: i_in, i_out, path_shape, path_weight. Of a tensor product: i_in1, i_in2,
    i_out, connection_mode, has_weight, path_weight, path_shape.
    """
    return _plain(value)
