"""Random damage: to bytes, to what JSON holds, to arrays. Everything follows from a generator."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Rng = np.random.Generator

NUMBERS = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    2**15,
    2**16 - 1,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63,
)
DEEP: list[Any] = []
for _ in range(60):
    DEEP = [DEEP]
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, 2, -1, 7, 33, 10**6, 10**9, 2**63, 10**30, 1.5, -0.0, 1e-320, 1e-30,
    1e30, 1e308, float("nan"), float("inf"), "", "x", "1", "0e", "16x0e", "16x99o", "0x0e", "1o",
    "999999999x0e", "0e+" * 30 + "0e", "x" * 3000, "\ud800", "\0", "\x1b[31m", "../../x", "ö", "²",
    "float64", "e3nn", "gaunt_tp", "relu", [], {}, [1] * 300, ["0e"] * 3, [[]], {"1": 0.0},
    {"08": 1.0}, {"1": None}, [{"1": 0.0}] * 2, [{"1": 0.0}] * 300, DEEP, {"k" * 500: 1},
)  # fmt: skip


def pick(rng: Rng, values: Any) -> Any:
    """Return one of the values."""
    return values[int(rng.integers(len(values)))]


def spoil_bytes(rng: Rng, data: bytes) -> bytes:
    """Return data with one to three spots damaged."""
    for _ in range(int(rng.integers(1, 4))):
        data = pick(rng, BYTE_DAMAGES)(rng, bytearray(data))
    return bytes(data)


def _flip(rng: Rng, data: bytearray) -> bytearray:
    for _ in range(int(rng.integers(1, 9))):
        if data:
            data[_spot(rng, data)] ^= 1 << int(rng.integers(8))
    return data


def _overwrite(rng: Rng, data: bytearray) -> bytearray:
    at = _spot(rng, data)
    data[at : at + 1] = bytes([pick(rng, (0, 1, 0x2E, 0x5B, 0x7B, 0x7F, 0x80, 0xFF))])
    return data


def _put_number(rng: Rng, data: bytearray) -> bytearray:
    at, width = _spot(rng, data), pick(rng, (2, 4, 8))
    data[at : at + width] = (pick(rng, NUMBERS) % 2 ** (8 * width)).to_bytes(width, "little")
    return data


def _cut(rng: Rng, data: bytearray) -> bytearray:
    return data[: _spot(rng, data)]


def _drop(rng: Rng, data: bytearray) -> bytearray:
    at = _spot(rng, data)
    del data[at : at + int(rng.integers(1, 30))]
    return data


def _repeat(rng: Rng, data: bytearray) -> bytearray:
    at, end = sorted((_spot(rng, data), _spot(rng, data)))
    return data[:end] + data[at : min(end, at + 5000)] * int(rng.integers(1, 4)) + data[end:]


def _insert(rng: Rng, data: bytearray) -> bytearray:
    at = _spot(rng, data)
    data[at:at] = rng.bytes(int(rng.integers(1, 20)))
    return data


BYTE_DAMAGES: tuple[Callable[[Rng, bytearray], bytearray], ...] = (
    _flip, _flip, _overwrite, _put_number, _cut, _drop, _repeat, _insert,
)  # fmt: skip


def _spot(rng: Rng, data: bytearray) -> int:
    return int(rng.integers(len(data))) if data else 0


def spoil_json(rng: Rng, value: Any) -> Any:
    """Return a copy with one to three values replaced, removed, renamed or repeated."""
    value = copy.deepcopy(value)
    for _ in range(int(rng.integers(1, 4))):
        place, key = _place(rng, value)
        damage = int(rng.integers(8))
        if damage == 0:
            del place[key]
        elif damage == 1 and isinstance(place, dict):
            place[pick(rng, ("surprise", "", key.upper(), "num_layers", "1"))] = place.pop(key)
        elif damage == 2 and isinstance(place[key], (int, float)):
            place[key] = pick(rng, (-place[key], place[key] + 1, place[key] * 0.5, str(place[key])))
        elif damage == 3:
            other, another = _place(rng, value)
            place[key] = copy.deepcopy(other[another])
        else:
            place[key] = copy.deepcopy(pick(rng, VALUES))
    return value


def _place(rng: Rng, value: Any) -> tuple[Any, Any]:
    """Return a random container within ``value`` and one of its keys."""
    found = []
    todo = [value]
    while todo:
        one = todo.pop()
        inner = one.items() if isinstance(one, dict) else enumerate(one)
        for key, content in list(inner)[:50]:
            found.append((one, key))
            if isinstance(content, (dict, list)) and len(found) < 500:
                todo.append(content)
    return pick(rng, found) if found else ({"": 0}, "")


def spoil_text(rng: Rng, value: Any) -> bytes:
    """Return JSON that is damaged in its values, or in its text too."""
    text = json.dumps(spoil_json(rng, value) if rng.random() < 0.8 else value)
    if rng.random() < 0.1:
        old, new = pick(rng, TEXT_DAMAGES)
        text = text.replace(old, new, 1)
    data = text.encode(pick(rng, ("utf-8",) * 20 + ("utf-16", "utf-32-be")), "replace")
    return spoil_bytes(rng, data) if rng.random() < 0.2 else data


TEXT_DAMAGES = (
    ('"num_channels"', '"num_layers"'),
    ('"head"', '"dtype"'),
    ("2", "1e999"),
    ("2", "9" * 5000),
    ("2", "NaN"),
    ("{", "[" * 30_000),
    ("{", '{"a":' * 5000),
    ('"', '"\\ud800'),
    ("}", "," + '"b": 1,' * 2000 + '"c": 1}'),
    ("]", ", " + "0, " * 200_000 + "0]"),
)


def spoil_arrays(rng: Rng, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays of which one has another shape, type, name or value, or is gone."""
    arrays = dict(arrays)
    name = pick(rng, list(arrays))
    array = arrays.pop(name)
    changed = pick(rng, ARRAY_DAMAGES)(array)
    if changed is not None:
        renamed = name + pick(rng, ("", "", "", "", "", "#x", "x", "#", "\0", "é"))
        arrays[renamed] = changed
    if rng.random() < 0.05:
        arrays |= {f"extra{i}": np.zeros(1, np.float32) for i in range(int(rng.integers(1, 200)))}
    return arrays


def _scattered(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def put(array: np.ndarray) -> np.ndarray:
        array = array.astype(np.float64)
        array.reshape(-1)[:1] = value
        return array

    return put


ARRAY_DAMAGES: tuple[Callable[[np.ndarray], np.ndarray | None], ...] = (
    lambda a: None,
    lambda a: a[None],
    lambda a: np.stack([a, a]),
    lambda a: a.T,
    lambda a: a.ravel(),
    lambda a: a[:0],
    lambda a: a[..., :-1],
    lambda a: np.concatenate([a, a], axis=-1) if a.ndim else a,
    lambda a: np.zeros((), a.dtype),
    lambda a: np.zeros((0, 2**40), a.dtype),
    lambda a: a.astype(np.float16),
    lambda a: a.astype(np.float64),
    lambda a: a.astype(np.int8),
    lambda a: a.astype(bool),
    lambda a: a * 1e3,
    lambda a: a * 1e30,
    _scattered(float("nan")),
    _scattered(float("-inf")),
    _scattered(1e300),
    _scattered(1e-310),
)


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive; names may occur twice."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            archive.writestr(info, data)
    return buffer.getvalue()


def spoil_directory(rng: Rng, data: bytes) -> bytes:
    """Return an archive with a number damaged in a header of a member, or of the directory."""
    marks = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")
    places = [i for mark in marks for i in _all(data, mark)]
    if not places:
        return data
    spoiled, width = bytearray(data), pick(rng, (1, 2, 2, 4, 4))
    at = pick(rng, places) + int(rng.integers(4, 46))
    spoiled[at : at + width] = (pick(rng, NUMBERS) % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(spoiled)


def _all(data: bytes, mark: bytes) -> list[int]:
    found, at = [], data.find(mark)
    while at >= 0:
        found.append(at)
        at = data.find(mark, at + 1)
    return found
