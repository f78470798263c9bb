"""Spoiled model files and checkpoints, one per seed; their hashes are right, unless that is it."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from small import make_model
from spoil import (
    Rng,
    pick,
    spoil_arrays,
    spoil_bytes,
    spoil_directory,
    spoil_text,
    zipped,
)

from lammps_mace import DatasetInfo, MaceConfig
from lammps_mace.modelfile import flatten, save_model
from lammps_mace.models.mlip.shapes import parameter_count, parameter_shapes
from lammps_mace.stub import UnifiedModel

DATA = Path(__file__).parents[1] / "data"
MEMO_BOMB = b"\x80\x04Nr\x00\x00\x00\x08."  # an unpickler makes room for 134,217,728 entries


class Canary:
    """What an unpickler would execute: it makes the folder ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.mkdir, (self.path,)


class Files:
    """Writes spoiled files into a folder, from good ones that it makes once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.canary = folder, folder / "executed"
        self.model, self.checkpoint = folder / "x.model", folder / "x.zip"
        save(self.model)
        self._stub = self.model.read_bytes()
        self._sidecar = json.loads(self.model.with_suffix(".json").read_text())
        self._safetensors = self.model.with_suffix(".safetensors").read_bytes()
        self._arrays = safetensors.numpy.load(self._safetensors)
        self._checkpoints = [
            *(members(path.read_bytes()) for path in sorted(DATA.glob("v1_*.zip"))),
            *[self._new_checkpoint()] * 4,
        ]

    def write(self, seed: int) -> str:
        """Spoil something; return what: "model" or "checkpoint"."""
        rng = np.random.default_rng(seed)
        what = pick(rng, ("stub", "stub", "sidecar", "sidecar", "sidecar", "weights", "weights",
                          "zip", "zip", "network"))  # fmt: skip
        if what == "zip":
            self.checkpoint.write_bytes(self._spoiled_checkpoint(rng))
            return "checkpoint"
        if what == "stub":
            self._write(self._spoiled_stub(rng), self._sidecar, self._safetensors)
        elif what == "network":
            self._write_network(rng)
        elif what == "sidecar":
            self._write(None, spoil_text(rng, self._sidecar), self._safetensors)
        else:
            self._write_weights(self._sidecar, self._spoiled_weights(rng))
        return "model"

    def _write_network(self, rng: Rng) -> None:
        """Write options that nobody chose, at times out of bounds, with weights that fit them."""
        sidecar = json.loads(json.dumps(self._sidecar))
        for _ in range(int(rng.integers(1, 6))):
            section, key, values = pick(rng, OPTIONS)
            sidecar[section][key] = pick(rng, values)
        try:
            config = MaceConfig(**sidecar["config"])
            shapes = parameter_shapes(config, DatasetInfo(**sidecar["dataset_info"]))
        except ValueError:
            shapes = {}
        if parameter_count(shapes) > 50_000:
            shapes = {}
        scale = pick(rng, (1.0, 1.0, 0.0, 1e-30, 1e8, 1e30))
        arrays = {
            name: (scale * rng.normal(size=shape)).astype(np.float32)
            for name, shape in shapes.items()
        }
        self._write_weights(sidecar, safetensors.numpy.save(arrays))

    def _write_weights(self, sidecar: dict[str, Any], weights: bytes) -> None:
        digest = hashlib.sha256(weights).hexdigest()
        self._write(None, {**sidecar, "weights_sha256": digest}, weights)

    def _write(self, stub: bytes | None, sidecar: Any, weights: bytes) -> None:
        text = sidecar if isinstance(sidecar, bytes) else json.dumps(sidecar).encode()
        if stub is None:
            fields = UnifiedModel("x", hashlib.sha256(text).hexdigest(), "")
            stub = pickle.dumps(fields, protocol=4)
        self.model.write_bytes(stub)
        self.model.with_suffix(".json").write_bytes(text)
        self.model.with_suffix(".safetensors").write_bytes(weights)

    def _spoiled_stub(self, rng: Rng) -> bytes:
        kind = int(rng.integers(6))
        if kind == 0:
            return pickle.dumps(pick(rng, (Canary(self.canary), [Canary(self.canary)], {1: 2})),
                                protocol=int(rng.integers(6)))  # fmt: skip
        if kind == 1:
            fields = (pick(rng, STUB_FIELDS) for _ in range(3))
            return pickle.dumps(UnifiedModel(*fields), protocol=int(rng.integers(2, 6)))
        if kind == 2:  # operations that make or execute something, amid those of a stub
            at = int(rng.integers(len(self._stub)))
            return self._stub[:at] + pick(rng, OPERATIONS) + self._stub[at:]
        if kind == 3:
            execute = pickle.dumps(Canary(self.canary), protocol=4)[:-1]
            return pick(rng, (execute + self._stub, self._stub[:-1] + execute[2:] + b"."))
        return spoil_bytes(rng, self._stub)

    def _spoiled_weights(self, rng: Rng) -> bytes:
        kind = int(rng.integers(4))
        if kind == 0:
            return spoil_bytes(rng, self._safetensors)
        if kind == 1:
            size = int.from_bytes(self._safetensors[:8], "little")
            header = spoil_text(rng, json.loads(self._safetensors[8 : 8 + size]))
            return len(header).to_bytes(8, "little") + header + self._safetensors[8 + size :]
        arrays = spoil_arrays(rng, self._arrays)
        return safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in arrays.items()})

    def _new_checkpoint(self) -> dict[str, bytes]:
        config = {k: v for k, v in self._sidecar["config"].items() if k not in NOT_OF_MLIP}
        text = {
            "config": config, "dataset_info": self._sidecar["dataset_info"], "version": "0.2.5",
        }  # fmt: skip
        arrays = {f"params#mlip_network#{name}": array for name, array in self._arrays.items()}
        return {"hyperparams.json": json.dumps(text).encode(), "params.npz": saved(arrays)}

    def _spoiled_checkpoint(self, rng: Rng) -> bytes:
        parts = dict(pick(rng, self._checkpoints))
        kind = int(rng.integers(8))
        if kind <= 2:
            hyperparams = json.loads(parts["hyperparams.json"])
            parts["hyperparams.json"] = spoil_text(rng, hyperparams)
        elif kind == 3:
            parts["params.npz"] = saved(spoil_arrays(rng, loaded(parts["params.npz"])))
        elif kind == 4:
            inner = list(members(parts["params.npz"]).items())
            which = int(rng.integers(len(inner)))
            name, data = inner[which]
            inner[which] = name, spoil_npy(rng, data)
            if rng.random() < 0.1:
                inner.append(pick(rng, inner))
            parts["params.npz"] = zipped(inner)
        elif kind == 5:
            parts["params.npz"] = pick(rng, (spoil_bytes, spoil_directory))(
                rng, parts["params.npz"]
            )
        elif kind == 6 and rng.random() < 0.05:
            parts["params.npz"] = pick(rng, bombs())
        method = pick(rng, (zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED,
                            zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))  # fmt: skip
        data = zipped(list(parts.items()), zipfile.ZIP_STORED if rng.random() < 0.9 else method)
        if kind >= 6:
            data = pick(rng, (spoil_bytes, spoil_directory))(rng, data)
        return data


OPTIONS = (
    ("config", "num_layers", (1, 2, 3, 8)),
    ("config", "num_channels", (1, 2, 5)),
    ("config", "l_max", (0, 1, 2, 3)),
    ("config", "node_symmetry", (0, 1, 2)),
    ("config", "correlation", (1, 2, 3, 4, 5)),
    ("config", "readout_irreps", (["1x0e", "0e"], ["3x0o+2x1o", "0e+2e"], ["8x8e", "9x0e"])),
    ("config", "num_readout_heads", (1, 2, 9)),
    ("config", "include_pseudotensors", (True, False)),
    ("config", "num_rbf", (1, 3, 64)),
    ("config", "activation", ("relu", "none", "sigmoid")),
    ("config", "radial_envelope", ("soft_envelope", "polynomial_envelope")),
    ("config", "radial_mlp_hidden", ([], [1], [2] * 16)),
    ("config", "radial_mlp_activation", ("relu", "none", "sigmoid", "tanh")),
    ("config", "avg_num_neighbors", (1e-6, 1e6)),
    ("config", "avg_r_min", (1e-6, 3.6, 3.7)),
    ("config", "num_species", (2, 200)),
    ("config", "gate_nodes", (True,)),
    ("config", "residual_connection_first_layer", (True,)),
    ("config", "soft_normalization", (1e-6, 1e6)),
    ("config", "use_coulomb_term", (True,)),
    ("config", "symmetric_contraction_backend", ("e3j", "e3nn_symmetric", "gaunt_tp")),
    ("config", "use_gaunt_tp_message_passing", (True,)),
    ("config", "species_pair_scaling", (True,)),
    ("dataset_info", "graph_cutoff_angstrom", (0.01, 1000.0)),
    ("dataset_info", "long_range_cutoff_angstrom", (None, 0.01, 1000.0)),
    ("dataset_info", "scaling_stdev", (0.0, 1e12, -1e12, 1e-300)),
    ("dataset_info", "atomic_energies_map", ({"118": 1e12}, [{"8": 0.0}, {"14": 1.0}])),
    ("dataset_info", "total_charge_set", ([], None, [1], list(range(-500, 500)))),
)
NOT_OF_MLIP = ("avg_num_neighbors", "avg_r_min", "num_species", "species_pair_scaling")
DIGEST = "0" * 64
STUB_FIELDS = ("x", DIGEST, "", "../x", "/", "a\0b", "y" * 300, "/" * 5000, 7, None, 1.5, b"x",
               ["x"], "\x1b", "ö", "x" * 20_000)  # fmt: skip
OPERATIONS = (
    MEMO_BOMB[2:-1],  # LONG_BINPUT
    b"p999999999\n",  # PUT
    b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",  # BINUNICODE8
    b"\x8e\xff\xff\xff\xff\x00\x00\x00\x00",  # BINBYTES8
    b"\x8b\xff\xff\xff\x7f",  # LONG4
    b"\x96\xff\xff\xff\x0f\x00\x00\x00\x00",  # BYTEARRAY8
    b"I" + b"9" * 4000 + b"\n",
    b"F1e999\n",
    b"cos\nsystem\n",
    b"cbuiltins\nexec\n",
    b"\x82\x01",  # EXT1
    b"S'x'\n",
    b"j\xff\xff\xff\xff",  # LONG_BINGET
    b"(" * 300,
    b"]a" * 300,
    b"Qb",
)


def save(path: Path) -> None:
    """Write the good model."""
    model = make_model(
        info={"total_charge_set": [0, 1], "atomic_energies_map": {8: -2.0, 14: 0.5}},
        num_channels=2, l_max=1, predict_partial_charges=True, use_total_charge_embedding=True,
        total_charge=1,
    )  # fmt: skip
    arrays = {name: array.astype(np.float32) for name, array in flatten(model.params).items()}
    save_model(path, model.config, model.dataset_info, arrays, total_charge=1)


def spoil_npy(rng: Rng, data: bytes) -> bytes:
    """Return a .npy file with a damaged header, or anything damaged."""
    if rng.random() < 0.3:
        return spoil_bytes(rng, data)
    old, new = pick(rng, HEADERS)
    return data.replace(old, new, 1)


HEADERS = (
    (b"<f4", b"|O8"), (b"<f4", b">f4"), (b"<f4", b"<f8"), (b"<f4", b"<c8"), (b"<f4", b"<U9"),
    (b"False", b"True "), (b"(", b"(" * 500), (b"shape", b"shapE"), (b"'<f4'", b"[('a','<f4')]"),
    (b", 2", b",-2"), (b"(2", b"(2L"), (b"(2", b"(999999999999"), (b"(2", b"(0, 99999999999999999"),
    (b"{", b"-" * 5000 + b"{"), (b"{", b"__import__('os').mkdir('executed') or {"),
    (b"\x93NUMPY\x01", b"\x93NUMPY\x03"), (b"}", b"}\n\n\n" + b" " * 70_000),
)  # fmt: skip


def members(data: bytes) -> dict[str, bytes]:
    """Return what an archive holds."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def loaded(data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz file."""
    with np.load(io.BytesIO(data)) as file:
        return dict(file)


def saved(arrays: dict[str, np.ndarray]) -> bytes:
    """Return a .npz file."""
    contents = []
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        contents.append((f"{name}.npy", buffer.getvalue()))
    return zipped(contents)


@functools.cache
def bombs() -> tuple[bytes, ...]:
    """Return archives that unpack to very much more than they are, or have very many members."""
    deflated = zipfile.ZIP_DEFLATED
    many = zipped([(f"w{i}.npy", b"") for i in range(3000)])
    zeros = zipped([("w.npy", bytes(2**26))], deflated)
    several = zipped([(f"w{i}.npy", bytes(2**24)) for i in range(6)], deflated)
    return many, zeros, several
