"""Checkpoints of mlip 0.1: other names, other normalisations, another order of the messages.

Everything is mapped in float64 to the network of mlip 0.2, in which mlip 0.1 is a special case;
the one thing that is not, ``species_embedding_dim``, becomes a table over pairs of species.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lammps_mace.convert.archive import Archive
from lammps_mace.convert.checkpoint import Checkpoint, parse
from lammps_mace.convert.mlip_0_1_config import ConfigV1, DatasetInfoV1
from lammps_mace.convert.mlip_0_2 import rootless, without_root
from lammps_mace.errors import ConvertError
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.options import Activation

_KEYS = ("num_bessel", "symmetric_tensor_product_basis", "atomic_energies", "species_embedding_dim")
_ROOT = "MaceBlock_0#"
_MESSAGES = "InteractionBlock_0#MessagePassingConvolution_0#"
_WEIGHT = re.compile(r"w\[([0-9]{1,2}),(?:[0-9]{1,2},)?([0-9]{1,2})\] .*")
_MOST_PAIR_WEIGHTS = 2**26  # 90 elements with 8,000 radial weights


def is_v1(archive: Archive) -> bool:
    """Return whether an archive was written by mlip 0.1."""
    config, info = archive.section("config"), archive.section("dataset_info")
    return (
        "cutoff_distance_angstrom" in info
        or any(key in config for key in _KEYS)
        or any(without_root(name).startswith(_ROOT) for name in archive.params)
    )


def read_v1(archive: Archive) -> Checkpoint:
    """Return the model of an archive of mlip 0.1."""
    old = parse(ConfigV1, archive.section("config"), "config")
    info = parse(DatasetInfoV1, archive.section("dataset_info"), "dataset_info").modern(old)
    if old.include_pseudotensors:
        raise ConvertError(
            "config.include_pseudotensors: mlip 0.1 itself fails to build such a model, so it "
            "has no meaning there; train it with mlip 0.2"
        )
    _check_size(old, info)
    params = rootless(archive, _ROOT)
    tree = Tree({name: array.astype(np.float64) for name, array in params.items()})
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused later
        new = dict(Network(old, info, tree).parameters())
    if unused := tree.unused():
        raise ConvertError(f"the parameters do not fit the configuration; not used: {unused}")
    config = old.modern(_hidden_width(new, old.num_layers))
    return Checkpoint(config, info, new, "mlip 0.1", tuple(_notes(old)))


def _check_size(old: ConfigV1, info: DatasetInfo) -> None:
    """Refuse what today's bounds do not admit, and a large table made of small weights."""
    old.modern(1)
    if old.species_embedding_dim is None:
        return
    species = old.num_species or len(info.atomic_numbers)
    outputs = len(message_order(old.node_symmetry, old.l_max)) * old.num_channels
    numbers = species**2 * max(outputs, 3 * old.species_embedding_dim)
    if numbers > _MOST_PAIR_WEIGHTS:
        raise ConvertError(
            f"config.species_embedding_dim: the table over pairs of {species} species would have "
            f"{numbers:,} numbers; at most {_MOST_PAIR_WEIGHTS:,} are possible"
        )


def _notes(old: ConfigV1) -> Iterator[str]:
    if old.num_readout_heads > 1:
        yield f"mlip 0.1 sums its {old.num_readout_heads} readout heads; they became one"
    if old.species_embedding_dim is not None:
        yield "the species embedding of the pairs became a table over pairs of species"
    if isinstance(old.atomic_energies, dict):
        yield (
            "config.atomic_energies: mlip 0.1 reads its keys as species indices 0, 1, ..., not "
            "as atomic numbers, and so does this model"
        )


def _hidden_width(params: Mapping[str, np.ndarray], num_layers: int) -> int:
    readout = f"layers_{num_layers - 1}#readout_block#ReadoutBlock_0#"
    return params[f"{readout}Linear_0#{_weight(0)}"].shape[0]


class Tree:
    """The parameters of a checkpoint, taken out one by one."""

    def __init__(self, params: dict[str, np.ndarray]) -> None:
        self._params = params
        self._taken: set[str] = set()

    def take(self, name: str, *shape: int | None) -> np.ndarray:
        """Return one parameter; None in ``shape`` is any size.

        Raises:
            ConvertError: it is missing, of another shape, or not finite.
        """
        if name not in self._params:
            raise ConvertError(
                f"the parameters do not fit the configuration; missing: {_ROOT + name!r}"
            )
        array = self._params[name]
        # Training on several devices leaves an axis of equal copies.
        if array.ndim == len(shape) + 1 and len(array) and (array == array[0]).all():
            array = array[0]
        if len(shape) != array.ndim or any(
            have != (have or 1 if want is None else want)
            for want, have in zip(shape, array.shape, strict=True)
        ):
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise ConvertError(
                f"parameter {_ROOT + name!r} has shape {array.shape}; "
                f"the configuration asks for ({wanted})"
            )
        if not np.isfinite(array).all():
            raise ConvertError(f"parameter {_ROOT + name!r} has values that are not finite")
        self._taken.add(name)
        return array

    def weights(self, module: str) -> dict[tuple[int, int], str]:
        """Return (input, output) -> name of the weight matrices of an equivariant linear map."""
        found = {}
        for name in self._params:
            match = _WEIGHT.fullmatch(name.removeprefix(module))
            if name.startswith(module) and match:
                found[int(match[1]), int(match[2])] = name
        return dict(sorted(found.items()))

    def unused(self) -> str:
        """Return the names that were not taken, '' when there are none."""
        return ", ".join(repr(_ROOT + name) for name in self._params if name not in self._taken)


class Network:
    """Maps the parameters of one checkpoint."""

    def __init__(self, config: ConfigV1, info: DatasetInfo, tree: Tree) -> None:
        self._config, self._tree = config, tree
        self._species = config.num_species or len(info.atomic_numbers)
        self._channels = config.num_channels

    def parameters(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the names and values of our network."""
        embeddings = self._tree.take(
            "LinearNodeEmbeddingBlock_0#embeddings", self._species, self._channels
        )
        yield "embedding_block#node_embedding_block#embed#embedding", embeddings
        for i in range(self._config.num_layers):
            for name, array in self._layer(i):
                yield f"layers_{i}#{name}", array

    def _layer(self, i: int) -> Iterator[tuple[str, np.ndarray]]:
        old, last = f"layer_{i}#", i == self._config.num_layers - 1
        node, l_max = self._config.node_symmetry, self._config.l_max
        source, target = (0 if i == 0 else node), (0 if last else node)
        up, skip = f"{old}InteractionBlock_0#linear_up#", f"{old}FullyConnectedTensorProduct_0#"
        yield from self._linear(up, "interaction_block#linear_in#", source)
        yield from self._messages(old, source)
        if i == 0:
            yield from self._by_species(skip, "linear_by_species_block#", l_max)
        else:
            yield from self._by_species(skip, "residual_block#", min(source, target))
        yield from self._product(f"{old}EquivariantProductBasisBlock_0#", target)
        yield from (self._last_readout(old) if last else self._readout(old))

    def _linear(self, old: str, new: str, l_max: int) -> Iterator[tuple[str, np.ndarray]]:
        names, c = self._tree.weights(old), self._channels
        for degree in range(l_max + 1):
            name = names.get((degree, degree), f"{old}w[{degree},{degree}]")
            yield new + _weight(degree), self._tree.take(name, c, c).T

    def _by_species(self, old: str, new: str, l_max: int) -> Iterator[tuple[str, np.ndarray]]:
        names, c = self._tree.weights(old), self._channels
        for degree in range(l_max + 1):
            name = names.get((degree, degree), f"{old}w[{degree},0,{degree}]")
            array = self._tree.take(name, c, self._species, c)
            # There the species are channels of a tensor product, which divides by their number.
            yield new + _weight(degree), array.transpose(1, 2, 0) / math.sqrt(self._species)

    def _messages(self, layer: str, source: int) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the radial network and what mixes the messages: sorted and signed anew."""
        l_max, c = self._config.l_max, self._channels
        paths = message_order(source, l_max)
        columns = np.concatenate([p.index * c + np.arange(c) for p in paths])
        radial = list(self._perceptron(f"{layer}{_MESSAGES}MultiLayerPerceptron_0#", len(columns)))
        radial[-1] = radial[-1][:, columns]
        for k, kernel in enumerate(radial):
            yield f"interaction_block#radial_mlp#layers_{k}#kernel", kernel
        if self._config.species_embedding_dim is not None:
            table = self._pair_table(layer, len(columns))[..., columns]
            yield "interaction_block#species_pair_scale", table
        names = self._tree.weights(old := f"{layer}InteractionBlock_0#linear_down#")
        for degree in range(l_max + 1):
            mine = [p for p in paths if p.target == degree]
            first = min(p.index for p in mine)
            name = names.get((degree, degree), f"{old}w[{degree},{degree}]")
            array = self._tree.take(name, len(mine) * c, c).reshape(len(mine), c, c)
            # Ours: the path varies fastest, and the vectors point the other way.
            signed = [p.sign * array[p.index - first] for p in mine]
            mixed = np.stack(signed, axis=1).reshape(c * len(mine), c)
            yield f"interaction_block#linear_out#{_weight(degree)}", mixed.T

    def _perceptron(self, old: str, outputs: int) -> Iterator[np.ndarray]:
        sizes = (self._config.num_bessel, 64, 64, 64, outputs)
        for k in range(4):
            yield self._tree.take(f"{old}Dense_{k}#kernel", sizes[k], sizes[k + 1])

    def _pair_table(self, layer: str, outputs: int) -> np.ndarray:
        """Return the species network evaluated at every pair, [sender, receiver, outputs]."""
        dim, n = self._config.species_embedding_dim or 0, self._species
        embedding = self._tree.take("species_embedding#embedding", n, dim)
        sender, receiver = np.broadcast_arrays(embedding[:, None], embedding[None, :])
        x = np.concatenate([sender, receiver, sender * receiver], axis=-1)
        act = _normalized(self._config.activation)
        old, sizes = f"{layer}{_MESSAGES}MultiLayerPerceptron_1#", (3 * dim, 64, 64, 64, outputs)
        for k in range(4):
            kernel = self._tree.take(f"{old}Dense_{k}#kernel", sizes[k], sizes[k + 1])
            bias = self._tree.take(f"{old}Dense_{k}#bias", sizes[k + 1])
            x = (x @ kernel + bias) / math.sqrt(sizes[k])
            x = act(x) if k < 3 else x
        return x

    def _product(self, old: str, l_max: int) -> Iterator[tuple[str, np.ndarray]]:
        n, c = self._species, self._channels
        for order in range(1, self._config.correlation + 1):
            for degree in range(l_max + 1):
                name = f"w{order}_{degree}{'eo'[degree % 2]}"
                array = self._tree.take(f"{old}SymmetricContraction_0#{name}", n, None, c)
                yield f"expansion_block#symmetric_contraction#{name}", array
        if self._config.gate_nodes:
            gates = (l_max + 1) * c
            for name, shape in (("weights", (n, c, gates)), ("bias", (n, gates))):
                full = f"species_wise_gate_{name}"
                yield f"expansion_block#{full}", self._tree.take(old + full, *shape)
        yield from self._linear(f"{old}Linear_0#", "expansion_block#linear_block#", l_max)

    def _readout(self, layer: str) -> Iterator[tuple[str, np.ndarray]]:
        modules = [
            f"{layer}LinearReadoutBlock_{head}#Linear_0#"
            for head in range(self._config.num_readout_heads)
        ]
        # mlip 0.1 uses the first output only.
        first = [self._columns(module, self._channels)[:, :1] for module in modules]
        new = "readout_block#ReadoutBlock_0#Linear_0#"
        yield new + _weight(0), np.sum(first, axis=0).T

    def _last_readout(self, layer: str) -> Iterator[tuple[str, np.ndarray]]:
        """Yield one perceptron whose hidden neurons are those of all heads together."""
        hidden, output = [], []
        for head in range(self._config.num_readout_heads):
            old = f"{layer}NonLinearReadoutBlock_{head}#"
            hidden.append(self._columns(f"{old}Linear_0#", self._channels))
            width = hidden[-1].shape[1]
            out = self._columns(f"{old}Linear_1#", width)[:, :1] / math.sqrt(width)
            output.append(out)
        new, out = "readout_block#ReadoutBlock_0#", np.concatenate(output)
        yield f"{new}Linear_0#{_weight(0)}", np.concatenate(hidden, axis=1).T
        yield f"{new}Linear_1#{_weight(0)}", out.T * math.sqrt(out.shape[0])

    def _columns(self, module: str, rows: int) -> np.ndarray:
        """Return all scalar outputs of a linear map from ``rows`` scalars, side by side."""
        names = [name for (source, _), name in self._tree.weights(module).items() if source == 0]
        arrays = [self._tree.take(name, rows, None) for name in names or [f"{module}w[0,0]"]]
        return np.concatenate(arrays, axis=1)


def _weight(degree: int) -> str:
    return f"weight{degree}_{degree}_{(-1) ** degree}"


class MessagePath:
    """One product of node features (degree ``source``) and harmonics (``edge``), to ``target``."""

    def __init__(self, source: int, edge: int, target: int) -> None:
        self.source, self.edge, self.target = source, edge, target
        self.index = -1  # position in the order of mlip 0.1, over all targets
        self.sign = (-1) ** edge  # there, harmonics are of r_sender - r_receiver


def message_order(source: int, l_max: int) -> list[MessagePath]:
    """Return the messages in our order, each with its position in that of mlip 0.1.

    Both are sorted by target degree; within it, ours by source and edge degree, theirs has the
    message without harmonics (edge degree 0) first.
    """
    paths = [
        MessagePath(l1, l2, l3)
        for l3 in range(l_max + 1)
        for l1 in range(source + 1)
        for l2 in range(l_max + 1)
        if abs(l1 - l2) <= l3 <= l1 + l2 and (l1 + l2 + l3) % 2 == 0
    ]
    for index, path in enumerate(sorted(paths, key=lambda p: (p.target, p.edge != 0))):
        path.index = index
    return paths


def _normalized(name: Activation) -> Any:
    import jax

    from lammps_mace.models.blocks.activation import normalized

    def evaluate(x: np.ndarray) -> np.ndarray:
        with jax.enable_x64(True):
            return np.asarray(normalized(name, np.dtype(np.float64))(jax.numpy.asarray(x)))

    return evaluate
