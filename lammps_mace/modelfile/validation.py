"""JSON that others wrote, read without trust: bounded, finite, no key twice, strict types."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from lammps_mace.errors import ModelFileError, UnusableFileError
from lammps_mace.models.options import StrictModel

MOST_JSON_BYTES = 2**22
_MOST_VALUES = 100_000
_DEEPEST = 16
_LONGEST_WORD = 100  # of a file, in a message

Strict = TypeVar("Strict", bound=StrictModel)


def shortened(text: str) -> str:
    """Return at most 100 characters of what a file holds, for a message on a terminal."""
    shown = text if len(text) <= _LONGEST_WORD else text[:_LONGEST_WORD] + "..."
    return "".join(char if char.isprintable() else "?" for char in shown)


def read_bytes(path: Path, most: int) -> bytes:
    """Return a whole file.

    Raises:
        ModelFileError: it cannot be read or has more than ``most`` bytes.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        reason = error.strerror or error
        raise ModelFileError(f"cannot read {str(path)!r}: {reason}; check the file") from error
    if len(data) > most:
        raise ModelFileError(
            f"{str(path)!r} is larger than the {most:,} bytes that such a file can have: it is "
            "another file, or damaged; copy the three files of the model again"
        )
    return data


def parse_json(data: bytes, what: str) -> dict[str, Any]:
    """Return the object that a JSON text holds.

    Raises:
        UnusableFileError: it is not JSON or no object, has a key twice or a number that is not
            finite, or is larger or deeper than what lammps-mace and mlip write.
    """
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_object,
            parse_constant=_refused_number,
            parse_float=_finite,
        )
        _check_size(value)
    except UnusableFileError as error:
        raise UnusableFileError(f"{what} {error}") from None
    except RecursionError:
        raise UnusableFileError(f"{what} is nested more than {_DEEPEST} levels deep") from None
    except ValueError as error:
        raise UnusableFileError(f"{what} is not JSON: {shortened(str(error))}") from None
    if not isinstance(value, dict):
        raise UnusableFileError(f"{what} must hold a JSON object, not {type(value).__name__}")
    return value


def validate(model: type[Strict], data: Mapping[str, Any], what: str, separator: str) -> Strict:
    """Build ``model`` from what :func:`parse_json` returned.

    Args:
        what, separator: in front of the field that is wrong, in the message.

    Raises:
        UnusableFileError: a field is missing, unknown or wrong.
    """
    try:
        return model(**data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        # Without pydantic's names of the alternatives of a field, such as dict[int,float].
        parts = [shortened(str(part)) for part in first["loc"] if "[" not in str(part)]
        place = ".".join(part for part in parts if not part.startswith("constrained-"))
        where = f"{what}{separator}{place}" if place else what
        reason = first["msg"].removeprefix("Value error, ")
        raise UnusableFileError(f"{where}: {reason}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for i, name in enumerate(names) if name in set(names[:i]))
        raise UnusableFileError(f"has the key {shortened(twice)!r} twice")
    return found


def _refused_number(text: str) -> float:
    raise UnusableFileError(f"holds {shortened(text)}; every number must be finite")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refused_number(text)


def _check_size(value: Any) -> None:
    """Refuse what would make thousands of messages, and text that no terminal can show."""
    level: list[Any] = [value]
    seen = 0
    for _ in range(_DEEPEST):
        seen += len(level)
        if seen > _MOST_VALUES:
            raise UnusableFileError(f"holds more than {_MOST_VALUES:,} values")
        level = [inner for outer in level for inner in _contents(outer)]
        if not level:
            return
    raise UnusableFileError(f"is nested more than {_DEEPEST} levels deep")


def _contents(value: Any) -> Iterable[Any]:
    if isinstance(value, str):
        # A lone half of a surrogate pair, which JSON can hold, is no character.
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise UnusableFileError(f"holds text that is not Unicode: {shortened(value)!r}")
        return ()
    if isinstance(value, dict):
        return (*value.keys(), *value.values())
    return value if isinstance(value, list) else ()
