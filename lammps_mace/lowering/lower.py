"""Lowering: turn a model into the layers that the engine runs, the fastest that it allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import e3nn_jax as e3nn
import jax
import numpy as np

from lammps_mace.engine.layer import Layer
from lammps_mace.kernels import EdgeProgram, pack_matrices, pack_spline
from lammps_mace.lowering import weight_tables as tables
from lammps_mace.lowering.optimized_layer import LoweredLayer, Structure
from lammps_mace.lowering.radial_splines import layer_kernels, splines
from lammps_mace.lowering.reference_layer import PlainLayer, first_features
from lammps_mace.modelfile import Model
from lammps_mace.models.mlip.config import Activation
from lammps_mace.models.mlip.contraction_e3j import contraction_fits, e3j_basis
from lammps_mace.models.mlip.layer import MaceLayer, readout

# Some operations of every layer can start with the step; of more than eight that can start at
# once XLA's CPU runtime gives some to another thread.
_SINGLE_THREADED_LAYERS = 4


class Lowered(NamedTuple):
    """A model as layers.

    Attributes:
        layers: in order.
        how: how they are computed, one line for people.
        single_threaded: XLA's CPU runtime runs all operations in the thread that calls it.
    """

    layers: Sequence[Layer]
    how: str
    single_threaded: bool


def lower(model: Model, plain: bool = False, backend: str | None = None) -> Lowered:
    """Return the layers of a model.

    Args:
        plain: run the network as it is defined; a reference.
        backend: of the kernels, "cpu", "gpu" or "xla"; None chooses for the device in use.
    """
    reason = "asked for" if plain else obstacle(model)
    indices = range(model.config.num_layers)
    if reason:
        return Lowered([PlainLayer(model, i) for i in indices], f"plain network ({reason})", False)
    backend = backend or {"cpu": "cpu", "gpu": "gpu"}.get(jax.default_backend(), "xla")
    layers = [_lowered_layer(model, i, backend) for i in indices]
    knots = [layer.knots or 0 for layer in layers]
    radial = f"radial splines of {max(knots)} knots" if all(knots) else "exact radial network"
    single_threaded = len(layers) <= _SINGLE_THREADED_LAYERS and all(
        layer.single_threaded for layer in layers
    )
    return Lowered(layers, f"{backend} kernels, {radial}", single_threaded)


def describe(model: Model) -> str:
    """Return how a model will be computed, without the work of lowering it."""
    if reason := obstacle(model):
        return f"plain network, for kernels do not know {reason}"
    return "kernels, " + ("exact radial network" if exact_radial(model) else "radial splines")


def obstacle(model: Model) -> str | None:
    """Return the option for which a model cannot be lowered, None if it can."""
    config, info = model.config, model.dataset_info
    if config.use_gaunt_tp_message_passing:
        return "use_gaunt_tp_message_passing"
    if config.symmetric_contraction_backend == "gaunt_tp":
        return "symmetric_contraction_backend gaunt_tp"
    if config.deterministic_scatter_ops and jax.default_backend() != "cpu":
        return "deterministic_scatter_ops"
    layers = [MaceLayer(config, info, i) for i in range(config.num_layers)]
    if config.symmetric_contraction_backend == "e3j" and not all(map(_fits, layers)):
        return f"l_max {config.l_max} with correlation {config.correlation}"
    return None


def _fits(layer: MaceLayer) -> bool:
    irreps = e3nn.Irreps(layer.message_irreps), e3nn.Irreps(layer.target_irreps)
    return contraction_fits(e3j_basis(*irreps, layer.config.correlation))


def exact_radial(model: Model) -> bool:
    """Whether the radial network is evaluated itself instead of splines fitted to it.

    In float64, for then a user wants every digit; and where splines cannot hold the weights: one
    set per pair of species, or a network that is not zero for zero input.
    """
    config = model.config
    return (
        model.dtype == "float64"
        or model.exact_radial
        or config.species_pair_scaling
        or config.radial_mlp_activation == Activation.SIGMOID
    )


def _lowered_layer(model: Model, index: int, backend: str) -> LoweredLayer:
    config, info = model.config, model.dataset_info
    layer = MaceLayer(config, info, index)
    after = None if layer.last else MaceLayer(config, info, index + 1)
    params = model.params[f"layers_{index}"]
    program, terms = tables.contraction(layer, params["expansion_block"])
    edges, edge_weights = _edges(model, layer, backend)
    structure = Structure(
        edges=edges,
        contraction=program,
        target=e3nn.Irreps(layer.target_irreps),
        next_target=None if after is None else e3nn.Irreps(after.target_irreps),
        readout=readout(config, layer.target_irreps, layer.last),
        # Several sets of E0 may share one readout.
        head=model.head if config.num_readout_heads > 1 else 0,
        bound=config.soft_normalization,
        merged=_merged(layer),
        backend=backend,
    )
    weights = {
        "terms": terms,
        "product": tables.packed(_used_product(model, layer, after), backend),
        "gates": _gates(model, params["expansion_block"]),
        "readout": params["readout_block"],
        **edge_weights,
        **_next(model, layer, after, backend),
    }
    return LoweredLayer(model, structure, tables.cast(weights, model.dtype))


def _product(model: Model, layer: MaceLayer) -> dict[str, np.ndarray]:
    block = model.params[f"layers_{layer.index}"]["expansion_block"]["linear_block"]
    return tables.square(block, layer.target_irreps, model.config.num_channels)


def _used_product(model: Model, layer: MaceLayer, after: MaceLayer | None) -> dict[str, np.ndarray]:
    """Return the last map of a layer to what is kept and read out; ``send`` may have its own."""
    product = _product(model, layer)
    if after is None or not _merged(layer):
        return product
    read = [ir for text in model.config.readout_irreps for _, ir in e3nn.Irreps(text)]
    used = {str(ir) for ir in (*read, *(ir for _, ir in after.target_irreps))}
    return {irrep: matrix for irrep, matrix in product.items() if irrep in used}


def _gates(model: Model, params: Any) -> Any:
    if not model.config.gate_nodes:
        return None
    return params["species_wise_gate_weights"], params["species_wise_gate_bias"]


def _edges(model: Model, layer: MaceLayer, backend: str) -> tuple[EdgeProgram, dict[str, Any]]:
    """Return the edge operation, what it reads, and the map of its sums."""
    params = model.params[f"layers_{layer.index}"]
    program = tables.edge_program(layer, model.dataset_info.graph_cutoff_angstrom)
    mix = tables.mix_tables(layer, params)
    weights = _first(model, layer)
    found = None if exact_radial(model) else splines(model, layer.index)
    if found is None:
        block = params["interaction_block"]
        scale = block["species_pair_scale"] if model.config.species_pair_scaling else None
        weights |= {"radial": layer_kernels(model, layer.index), "pair_scale": scale}
    else:
        program = replace(program, knot_scale=found.grid.scale)
        coefficients = found.coefficients.reshape(found.grid.knots + 3, len(program.paths), -1)
        if not layer.index:
            program, coefficients, weights["first"], mix = tables.in_radial_basis(
                program, coefficients, weights["first"], mix
            )
        weights["spline"] = pack_spline(coefficients)
    return program, {**weights, "mix": [pack_matrices(table, backend) for table in mix]}


def _first(model: Model, layer: MaceLayer) -> dict[str, Any]:
    """Return what the first layer starts from, per species."""
    if layer.index:
        return {}
    latent, sent = (np.asarray(x, np.float64) for x in first_features(model))
    if not layer.has_residual:
        return {"first": sent, "first_skip": None}
    # Only scalars are there to be kept; the residual of the other irreps is zero.
    scalars = np.einsum("smb,sba->sma", latent, _skip(model, layer)["0e"])
    others = np.zeros((len(latent), layer.target_irreps.dim - 1, latent.shape[2]))
    return {"first": sent, "first_skip": np.concatenate([scalars, others], axis=1)}


def _skip(model: Model, layer: MaceLayer) -> dict[str, np.ndarray]:
    return tables.skip_matrices(
        model.params[f"layers_{layer.index}"]["residual_block"],
        layer.source_irreps, layer.target_irreps, model.config.num_channels,
    )  # fmt: skip


def _merged(layer: MaceLayer) -> bool:
    """Whether nothing comes between the last map of a layer and the first of the next."""
    return not layer.has_residual and layer.config.soft_normalization is None


def _next(model: Model, layer: MaceLayer, after: MaceLayer | None, backend: str) -> dict[str, Any]:
    """Return what the next layer does to its atoms' own features: its skip and what they send."""
    if after is None:
        return {}
    block = model.params[f"layers_{after.index}"]["interaction_block"]
    channels = model.config.num_channels
    send = tables.square(block["linear_in"], layer.target_irreps, channels)
    if _merged(layer):
        product = _product(model, layer)
        send = {irrep: product[irrep] @ matrix for irrep, matrix in send.items()}
    maps = {"skip": _skip(model, after), "send": send}
    return {name: tables.packed(matrices, backend) for name, matrices in maps.items()}
