"""Spoiled files of torch, one per seed: their bytes, the operations of their pickle, their data."""

from __future__ import annotations

import lzma
import pickle
import pickletools
import zipfile
from pathlib import Path

import numpy as np
import torch_files
from spoil import NUMBERS, Rng, pick, spoil_bytes, spoil_directory, zipped
from spoiled_files import OPERATIONS, Canary

DATA = Path(__file__).parents[1] / "data"
# Operations amid those of a model: they make, call or refer to what they should not.
MORE = (
    b")", b"]", b"}", b"N", b"(", b"t", b"R", b"b", b"s", b"u", b"e", b"a", b"\x85", b"\x86", b"0",
    b"2", b"Q", b"\x81", b"\x88", b"J\xff\xff\xff\xff", b"J\xff\xff\xff\x7f", b"h\x00", b"h\x07",
    b"j\x00\x01\x00\x00", b"q\x00", b"X\x00\x00\x00\x00", b"cposix\nsystem\n", b"G" + b"\xff" * 8,
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n)R", b"c_codecs\nencode\n",
    b"c__builtin__\ngetattr\n", b"cnumpy\ndtype\n", b"cmace.modules.models\nMACE\n)\x81", b"." ,
    b"h\x00\x85" * 50, b"]q\x01h\x01a", b"}q\x01X\x01\x00\x00\x00ah\x01s", b")" + b"\x85" * 500,
    b")" + b"q\x00h\x00\x86" * 50,
)  # fmt: skip


class TorchFiles:
    """Writes spoiled files into a folder, from those in tests/data."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.canary = folder, folder / "executed"
        self.checkpoint = folder / "x.pt"
        small = torch_files.whole(torch_files.module("mace.modules.models", "MACE", x=b"N"))
        self._models = [[("x/data.pkl", small), ("x/byteorder", b"little")]]
        for path in sorted(DATA.glob("torch_*.xz")):
            with lzma.open(path) as file, zipfile.ZipFile(file) as archive:
                self._models.append([(name, archive.read(name)) for name in archive.namelist()])
        self._places = [self._operations(model) for model in self._models]

    def write(self, seed: int) -> None:
        """Write the file of this seed."""
        rng = np.random.default_rng(seed)
        which = int(rng.integers(len(self._models)))
        members = list(self._models[which])
        kind = int(rng.integers(8))
        at = next(i for i, (name, _) in enumerate(members) if name.endswith("data.pkl"))
        name, data = members[at]
        if kind <= 2:
            data = self._spoiled_operations(rng, data, self._places[which])
        elif kind == 3:
            data = spoil_bytes(rng, data)
        elif kind == 4:
            data = self._with_canary(rng, data, self._places[which])
        elif kind == 5:
            self._spoil_members(rng, members)
        members[at] = name, data
        method = zipfile.ZIP_STORED if rng.random() < 0.95 else zipfile.ZIP_DEFLATED
        whole = zipped(members, method)
        if kind >= 6:
            whole = pick(rng, (spoil_bytes, spoil_directory))(rng, whole)
        self.checkpoint.write_bytes(whole)

    def _operations(self, model: list[tuple[str, bytes]]) -> list[int]:
        [data] = [data for name, data in model if name.endswith("data.pkl")]
        return [position for _, _, position in pickletools.genops(data)] + [len(data)]

    def _spoiled_operations(self, rng: Rng, data: bytes, places: list[int]) -> bytes:
        """Return a pickle with operations added, removed, repeated, moved or with new numbers."""
        for _ in range(int(rng.integers(1, 4))):
            first, last = sorted(int(i) for i in rng.integers(1, len(places), 2))
            at, until = places[first], places[min(last, first + int(rng.integers(1, 40)))]
            kind = int(rng.integers(5))
            if kind == 0:
                data = data[:at] + pick(rng, MORE + OPERATIONS) + data[at:]
            elif kind == 1:
                data = data[:at] + data[until:]
            elif kind == 2:
                data = data[:at] + data[at:until] * int(rng.integers(2, 5)) + data[until:]
            elif kind == 3:
                other = places[int(rng.integers(1, len(places)))]
                data = data[:other] + data[at:until] + data[other:]
            else:
                data = self._new_number(rng, data, at)
        return data

    def _new_number(self, rng: Rng, data: bytes, at: int) -> bytes:
        """Put another number into the next operation that has one."""
        widths = {b"K": 1, b"M": 2, b"J": 4, b"h": 1, b"q": 1, b"j": 4, b"r": 4, b"X": 4}
        for i in range(at, min(at + 200, len(data))):
            if width := widths.get(data[i : i + 1]):
                number = pick(rng, NUMBERS) % 2 ** (8 * width)
                return data[: i + 1] + number.to_bytes(width, "little") + data[i + 1 + width :]
        return data

    def _with_canary(self, rng: Rng, data: bytes, places: list[int]) -> bytes:
        canary = pickle.dumps(Canary(self.canary), protocol=int(rng.integers(6)))
        inner = canary[2:-1] if canary[:1] == b"\x80" else canary[:-1]
        at = places[int(rng.integers(1, len(places)))]
        return pick(rng, (canary, canary + data, data[:at] + inner + data[at:],
                          data[:-1] + inner + b"."))  # fmt: skip

    def _spoil_members(self, rng: Rng, members: list[tuple[str, bytes]]) -> None:
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(len(members)))
            name, data = members[at]
            other = pick(rng, members)
            members[at] = pick(rng, (
                (name, b""), (name, data + data), (name, data[:-1]), (other[0] + "x", data),
                (name, other[1]), (name.replace("data", "dat"), data), (name, bytes(2**20)),
                (name, spoil_bytes(rng, data)), ("../" + name, data),
            ))  # fmt: skip
