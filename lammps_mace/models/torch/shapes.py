"""Shapes of all arrays of a network of mace-torch, from its configuration without JAX.

Linear maps are one matrix per irrep, [in, out], with the library's path weights and the constants
of its activations multiplied in; names follow the library's modules.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from lammps_mace.models.blocks.irreps import Irrep, name, parse_irrep_list, products
from lammps_mace.models.torch.config import (
    Basis,
    LayerConfig,
    ReadoutConfig,
    TorchMaceConfig,
    Transform,
)

Shape = tuple[int, ...]
Named = Iterator[tuple[str, Shape]]

_SCALAR: Irrep = (0, 1)
_BASIS = {Basis.BESSEL: ("prefactor", "roots"), Basis.GAUSSIAN: ("coefficient", "centers")}
_TRANSFORM = {
    Transform.NONE: (),
    Transform.AGNESI: ("q", "p", "a"),
    Transform.SOFT: ("alpha",),
    Transform.EARLY_SOFT: ("a", "b"),
}


def parameter_shapes(config: TorchMaceConfig) -> dict[str, Shape]:
    """Return the shape of every array, its name's levels joined by '#'."""
    shapes = dict(_model(config))
    for index in range(len(config.layers)):
        shapes.update((f"layers_{index}#{key}", shape) for key, shape in _layer(config, index))
    for index, readout in enumerate(config.readouts):
        named = _readout(readout, config.channels, len(config.heads))
        shapes.update((f"readouts_{index}#{key}", shape) for key, shape in named)
    return shapes


def layer_paths(config: TorchMaceConfig, layer: LayerConfig) -> list[tuple[Irrep, int, Irrep]]:
    """Return source, degree and target of every product, in the order of the radial weights."""
    messages = parse_irrep_list(layer.messages)
    found = [
        (source, edge[0], target)
        for source in parse_irrep_list(layer.sent)
        for edge in config.harmonics()
        for target in products(source, edge)
        if target in messages
    ]
    return sorted(found, key=lambda path: path[2])


def gated_channels(config: TorchMaceConfig, layer: LayerConfig) -> dict[Irrep, int]:
    """Return the channels of the mixed sums, the gates among those of 0e."""
    channels = dict.fromkeys(parse_irrep_list(layer.messages), config.channels)
    if layer.interaction.is_non_linear:
        channels[_SCALAR] += config.channels * sum(degree > 0 for degree, _ in channels)
    return channels


def edge_width(config: TorchMaceConfig, layer: LayerConfig) -> int:
    """Return the width of the input of the radial network."""
    return config.radial.count + 2 * config.channels * layer.interaction.is_non_linear


def _model(config: TorchMaceConfig) -> Named:
    species, channels, heads = len(config.atomic_numbers), config.channels, len(config.heads)
    yield "node_embedding", (species, channels)
    yield "atomic_energies", (heads, species)
    if config.scale_shift:
        yield "scale", (heads,)
        yield "shift", (heads,)
    for embedding in config.embeddings:
        yield f"joint_embedding#{embedding.quantity}", (embedding.classes, embedding.width)
    if config.embeddings:
        yield "joint_embedding#project", (sum(e.width for e in config.embeddings), channels)
    if config.embedding_readout:
        yield "embedding_readout", (channels, heads)
    yield from ((f"radial#{key}", shape) for key, shape in _radial(config, species))
    if config.pair_repulsion:
        yield from (("pair_repulsion#c", (4,)), ("pair_repulsion#radii", (species,)))
        yield from ((f"pair_repulsion#{key}", ()) for key in ("p", "a_exp", "a_prefactor"))


def _radial(config: TorchMaceConfig, species: int) -> Named:
    yield from (("cutoff", ()), ("p", ()))
    if config.radial.basis in _BASIS:
        scalar, vector = _BASIS[config.radial.basis]
        yield from ((scalar, ()), (vector, (config.radial.count,)))
    constants = _TRANSFORM[config.radial.transform]
    yield from ((f"transform#{key}", ()) for key in constants)
    if constants:
        yield "transform#radii", (species,)


def _layer(config: TorchMaceConfig, index: int) -> Named:
    layer, channels, species = config.layers[index], config.channels, len(config.atomic_numbers)
    kind, sent = layer.interaction, parse_irrep_list(layer.sent)
    source, messages = config.source(index), parse_irrep_list(layer.messages)
    paths = layer_paths(config, layer)
    for irrep in _shared(source, sent):
        yield f"linear_up#{name(irrep)}", (channels, layer.sent_channels)
    width, outputs = edge_width(config, layer), len(paths) * layer.sent_channels
    net = _normed_net if kind.is_non_linear else _plain_net
    yield from _inside("conv_tp_weights", net((width, *layer.radial_widths, outputs)))
    if kind.has_density:
        yield from _inside("density_fn", net((width, *layer.density_widths, 1)))
    mixed = gated_channels(config, layer)
    for irrep in messages:
        n_paths = sum(path[2] == irrep for path in paths)
        if n_paths:
            shape = n_paths * layer.sent_channels, mixed[irrep]
            yield f"linear#{name(irrep)}", shape
    if kind.is_non_linear:
        yield from _gate(layer, channels, species, mixed)
    elements = 1 if kind.is_non_linear else species
    for irrep in _shared(source, parse_irrep_list(layer.target)) if kind.has_skip else messages:
        yield f"skip_tp#{name(irrep)}", (elements, channels, channels)
    yield from _product(layer, channels, 1 if layer.agnostic_product else species)


def _gate(layer: LayerConfig, channels: int, species: int, mixed: dict[Irrep, int]) -> Named:
    """Yield the arrays that only the non-linear interaction has."""
    yield from (("alpha", ()), ("beta", ()))
    yield from ((f"{side}_embedding", (species, channels)) for side in ("source", "target"))
    messages = parse_irrep_list(layer.messages)
    for irrep in _shared(parse_irrep_list(layer.sent), messages):
        yield f"linear_res#{name(irrep)}", (layer.sent_channels, mixed[irrep])
    for irrep in messages:
        yield f"linear_2#{name(irrep)}", (channels, channels)


def _product(layer: LayerConfig, channels: int, species: int) -> Named:
    target, dim = parse_irrep_list(layer.target), _dim(parse_irrep_list(layer.messages))
    for irrep, counts in zip(target, layer.contraction, strict=True):
        for order, count in enumerate(counts, start=1):
            coupling = (2 * irrep[0] + 1, *[dim] * order, count)
            yield f"contraction#{name(irrep)}#U{order}", coupling
            yield f"contraction#{name(irrep)}#weights{order}", (species, count, channels)
    for irrep in target:
        yield f"product#{name(irrep)}", (channels, channels)


def _readout(readout: ReadoutConfig, channels: int, heads: int) -> Named:
    if readout.kind == "linear":
        yield "linear", (channels, heads)
        return
    width = readout.width * heads
    yield from (("linear_1", (channels, width)), ("linear_2", (width, heads)))
    if readout.kind == "biased":
        yield from (("linear_mid", (width, width)), ("bias_mid", (width,)), ("bias_2", (heads,)))


def _plain_net(widths: Sequence[int]) -> Named:
    for i, shape in enumerate(itertools.pairwise(widths)):
        yield f"matrix_{i}", shape


def _normed_net(widths: Sequence[int]) -> Named:
    for i, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        yield from ((f"matrix_{i}", (n_in, n_out)), (f"bias_{i}", (n_out,)))
        if i < len(widths) - 2:
            yield from ((f"norm_{i}#{key}", (n_out,)) for key in ("weight", "bias"))
            yield f"norm_{i}#eps", ()


def _inside(module: str, shapes: Named) -> Named:
    return ((f"{module}#{key}", shape) for key, shape in shapes)


def _shared(one: Sequence[Irrep], other: Sequence[Irrep]) -> list[Irrep]:
    return [irrep for irrep in one if irrep in other]


def _dim(irreps: Sequence[Irrep]) -> int:
    return sum(2 * degree + 1 for degree, _ in irreps)
