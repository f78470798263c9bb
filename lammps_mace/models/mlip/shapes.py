"""Shapes of all weights of a network, counted from its configuration without JAX.

A reader compares them with what a file holds before anything is built. The tests compare them with
what :class:`lammps_mace.Mace` asks for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping

from lammps_mace.models.blocks.irreps import (
    Counts,
    Irrep,
    both_parities,
    harmonics,
    name,
    parse_irreps,
    power_counts,
    products,
    sorted_irreps,
    symmetric_power_counts,
    weight_names,
)
from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo

Shape = tuple[int, ...]
Named = Iterator[tuple[str, Shape]]

_SCALAR: Irrep = (0, 1)


def parameter_shapes(config: MaceConfig, info: DatasetInfo) -> dict[str, Shape]:
    """Return the shape of every parameter, its name's levels joined by '#'.

    Raises:
        ValueError: ``config`` and ``info`` do not fit each other.
    """
    shapes = dict(_embedding(config, info))
    for index in range(config.num_layers):
        layer = _Layer(config, num_species(config, info), index)
        shapes.update((f"layers_{index}#{key}", shape) for key, shape in layer.shapes())
    return shapes


def num_species(config: MaceConfig, info: DatasetInfo) -> int:
    """Return the rows of the species tables.

    Raises:
        ValueError: ``config.num_species`` is less than the number of elements.
    """
    known = len(info.atomic_numbers)
    if config.num_species is not None and config.num_species < known:
        raise ValueError(
            f"num_species={config.num_species} is less than the {known} elements of "
            "atomic_energies_map; leave it out or raise it"
        )
    return config.num_species or known


def parameter_count(shapes: Mapping[str, Shape]) -> int:
    """Return how many numbers arrays of these shapes hold."""
    return sum(math.prod(shape) for shape in shapes.values())


def _embedding(config: MaceConfig, info: DatasetInfo) -> Named:
    block, channels = "embedding_block#node_embedding_block#", config.num_channels
    species = num_species(config, info)
    if not config.use_total_charge_embedding:
        yield f"{block}embed#embedding", (species, channels)
        return
    yield f"{block}species_embedder#embed#embedding", (species, channels)
    charges = len(info.total_charges) + 1
    yield f"{block}charge_embedder#embed#embedding", (charges, channels)
    yield f"{block}joint_embedding_projection#kernel", (2 * channels, channels)


class _Layer:
    """One layer; its irreps are those of :class:`MaceLayer`."""

    def __init__(self, config: MaceConfig, species: int, index: int) -> None:
        self.config, self.species, self.first = config, species, index == 0
        self.last = index == config.num_layers - 1
        node = harmonics(config.node_symmetry)
        self.source = {_SCALAR: 1} if self.first else node
        self.target = {_SCALAR: 1} if self.last else node
        pseudo = config.include_pseudotensors
        self.messages = both_parities(config.l_max) if pseudo else harmonics(config.l_max)

    def shapes(self) -> Named:
        """Yield the name in the layer and the shape of every parameter."""
        c = self.config.num_channels
        for key, shape in self._interaction():
            yield f"interaction_block#{key}", shape
        for key, shape in self._expansion():
            yield f"expansion_block#{key}", shape
        if self.first and not self.config.residual_connection_first_layer:
            maps = _linear(_times(c, self.messages), _times(c, self.messages))
            block = "linear_by_species_block"
        else:
            maps = _linear(_times(c, self.source), _times(c, self.target))
            block = "residual_block"
        for key, shape in maps:
            yield f"{block}#{key}", (self.species, *shape)
        for key, shape in self._readout():
            yield f"readout_block#{key}", shape

    def _interaction(self) -> Named:
        c, l_max = self.config.num_channels, self.config.l_max
        gaunt = self.config.use_gaunt_tp_message_passing
        reached = [
            out
            for one in self.source
            for edge in harmonics(l_max)
            for out in products(one, edge)
            if out in self.messages
        ]
        # Gaunt products end once in every irrep, Clebsch-Gordan products once for every path.
        paths = {irrep: 1 if gaunt else reached.count(irrep) for irrep in reached}
        outputs = sum(paths.values()) * c
        widths = (self.config.num_rbf, *self.config.radial_mlp_hidden, outputs)
        for i, shape in enumerate(itertools.pairwise(widths)):
            yield f"radial_mlp#layers_{i}#kernel", shape
        yield from _inside("linear_in", _linear(_times(c, self.source), _times(c, self.source)))
        if gaunt:
            edges = harmonics(l_max)
            yield from _inside("linear_proj", _linear(edges, _times(c, edges)))
        messages = sorted_irreps(_times(c, paths))
        yield from _inside("linear_out", _linear(messages, _times(c, self.messages)))
        if self.config.species_pair_scaling:
            yield "species_pair_scale", (self.species, self.species, outputs)

    def _expansion(self) -> Named:
        c = self.config.num_channels
        yield from _inside("symmetric_contraction", self._contraction())
        yield from _inside("linear_block", _linear(_times(c, self.target), _times(c, self.target)))
        if self.config.gate_nodes:
            gates = len(self.target) * c
            yield "species_wise_gate_weights", (self.species, c, gates)
            yield "species_wise_gate_bias", (self.species, gates)

    def _contraction(self) -> Named:
        backend, c = self.config.symmetric_contraction_backend, self.config.num_channels
        if backend == "gaunt_tp":
            yield from self._gaunt_contraction()
            return
        count = symmetric_power_counts if backend == "e3nn_symmetric" else power_counts
        orders = range(1, self.config.correlation + 1)
        powers = {order: count(self.messages, order) for order in orders}
        if backend != "e3j":
            for order, counts in powers.items():
                for irrep in self.target:
                    if irrep in counts:
                        yield f"w{order}_{name(irrep)}", (self.species, counts[irrep], c)
            return
        paths = {
            irrep: sum(counts.get(irrep, 0) for counts in powers.values()) for irrep in self.target
        }
        names = weight_names(sorted_irreps({i: n for i, n in paths.items() if n}), self.target)
        for irrep, key in names.items():
            yield f"LinearIndexwise_0#{key}", (self.species, c, 1, paths[irrep])

    def _gaunt_contraction(self) -> Named:
        c = self.config.num_channels
        for factor in range(self.config.correlation):
            for i, irrep in enumerate(self.messages):
                both = f"{c}x{name(irrep)}"
                yield f"linear_in_{factor}#w[{i},{i}] {both},{both}", (c, c)
            yield f"gaunt_symmetric_contraction_bias_{factor}", (c,)
        for key in weight_names(self.target, self.target).values():
            yield f"linear_out#{key}", (self.species, c, 1, 1)

    def _readout(self) -> Named:
        hidden, output = (parse_irreps(text) for text in self.config.readout_irreps)
        if self.config.predict_partial_charges:
            output = sorted_irreps({**output, _SCALAR: output.get(_SCALAR, 0) + 1})
        source = _times(self.config.num_channels, self.target)
        if self.last:
            hidden, gated = _gated(hidden)
            maps = [_linear(source, hidden), _linear(gated, output)]
        else:
            maps = [_linear(source, output)]
        shapes = [(f"Linear_{i}#{key}", shape) for i, one in enumerate(maps) for key, shape in one]
        for head in range(self.config.num_readout_heads):
            yield from ((f"ReadoutBlock_{head}#{key}", shape) for key, shape in shapes)


def _inside(module: str, shapes: Named) -> Named:
    return ((f"{module}#{key}", shape) for key, shape in shapes)


def _times(channels: int, counts: Counts) -> dict[Irrep, int]:
    return {irrep: channels * count for irrep, count in counts.items()}


def _linear(source: Counts, target: Counts) -> Named:
    for irrep, key in weight_names(source, target).items():
        yield key, (target.get(irrep, 0), source.get(irrep, 0))


def _gated(hidden: Counts) -> tuple[dict[Irrep, int], dict[Irrep, int]]:
    """Return the hidden irreps with a scalar more for each vector, and what the gates leave.

    The last scalars multiply the vectors; an odd one changes their parity.
    """
    vectors = {irrep: count for irrep, count in hidden.items() if irrep[0]}
    n_vectors = sum(vectors.values())
    even, odd = hidden.get(_SCALAR, 0) + n_vectors, hidden.get((0, -1), 0)
    scalars = {_SCALAR: even, (0, -1): odd}
    full = {**{irrep: count for irrep, count in scalars.items() if count}, **vectors}
    odd_gates = min(odd, n_vectors)
    left = {_SCALAR: even - (n_vectors - odd_gates), (0, -1): odd - odd_gates}
    # Scalars are sorted, the even ones first: odd gates are the last, of the last vectors.
    even_gates = n_vectors - odd_gates
    gated: dict[Irrep, int] = {irrep: count for irrep, count in left.items() if count}
    for (degree, parity), count in vectors.items():
        kept = min(count, even_gates)
        even_gates -= kept
        for irrep, part in (((degree, parity), kept), ((degree, -parity), count - kept)):
            if part:
                gated[irrep] = gated.get(irrep, 0) + part
    return full, sorted_irreps(gated)
