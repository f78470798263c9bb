"""Lowers the description of a layer to its program and weights, with constants folded in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.kernels import EdgeProgram, Matrices, pack_matrices
from lammps_mace.lowering.contraction import contraction, reached_irreps
from lammps_mace.lowering.density import density_program
from lammps_mace.lowering.edge_functions import function_weights
from lammps_mace.lowering.edge_sums import EdgeSums, by_path, spline_weights
from lammps_mace.lowering.edges import MixTables, edge_program, joined, mix_tables, sent_irreps
from lammps_mace.lowering.layer_program import Channels, LayerProgram
from lammps_mace.lowering.low_rank_basis import in_function_basis, in_low_rank_basis
from lammps_mace.lowering.messages import MessageProgram
from lammps_mace.lowering.optimized_layer import OptimizedLayer
from lammps_mace.lowering.radial_splines import Splines
from lammps_mace.lowering.species_pairs import SpeciesPairs
from lammps_mace.lowering.spline_cache import SplineRequest, splines
from lammps_mace.lowering.tabulated_functions import bare_functions, most_numbers, tabulated
from lammps_mace.models.description import (
    Density,
    LayerDescription,
    LinearMap,
    ModelDescription,
    RadialWeights,
)


class _Fitted(NamedTuple):
    """Radial weights, and splines of them or of the functions that they are made of.

    Attributes:
        radial: the weights; with splines of their functions where these are tabulated.
        splines: None: the functions themselves are evaluated.
        of_weights: the splines are those of all weights.
    """

    radial: RadialWeights
    splines: Splines | None
    of_weights: bool = True


@dataclass(frozen=True)
class LayerLowering:
    """Makes layers that run on the kernels.

    Attributes:
        description: of the whole model; :func:`lammps_mace.lowering.supported.obstacle` has none.
        backend: of the kernels, "cpu", "gpu" or "xla".
        exact_radial: evaluate the radial functions themselves, fit no splines.
    """

    description: ModelDescription
    backend: str
    exact_radial: bool

    @property
    def _n_species(self) -> int:
        return len(self.first_features[0])

    @cached_property
    def first_features(self) -> tuple[np.ndarray, np.ndarray]:
        """Features before the first layer and what atoms send, float64 [n_species, 1, channels]."""
        own, sent = (np.asarray(x, np.float64) for x in self.description.first_features())
        return own, sent

    def layers(self) -> list[OptimizedLayer]:
        """Return the layers of the model."""
        return [self._layer(i) for i in range(len(self.description.layers))]

    def _layer(self, index: int) -> OptimizedLayer:
        layer, *rest = self.description.layers[index:]
        after = rest[0] if rest else None
        contraction_chain, terms = contraction(layer, self._n_species, self.backend)
        fitted = self._fitted(layer)
        edges, (mix, copies), edge_weights = self._edges(layer, fitted, is_first=not index)
        messages, message_weights = self._messages(layer, is_first=not index)
        gate = layer.scalar_gate
        program = LayerProgram(
            edges=EdgeSums(edges, fitted.radial, self.backend),
            knots=None if fitted.splines is None else fitted.splines.grid.knots,
            messages=replace(messages, is_copied=bool(copies)),
            contraction=contraction_chain,
            target=layer.target,
            next_target=None if after is None else after.target,
            next_sent=None if after is None else sent_irreps(after),
            channels=_channels(mix, after),
            readout=layer.readout.function,
            bound=layer.bound,
            merged=_is_merged(layer),
            backend=self.backend,
        )
        weights = {
            "mix": [pack_matrices(table, self.backend) for table in mix],
            "copies": [pack_matrices(table, self.backend) for table in copies],
            "terms": terms,
            "product": self._packed(_used_product(layer, after)),
            "gates": None if gate is None else (gate.weight, gate.bias),
            "readout": layer.readout.parameters,
            **edge_weights,
            **message_weights,
            **self._next(layer, after),
        }
        dtype = self.description.dtype
        return OptimizedLayer(program, jax.tree.map(partial(_array, dtype), weights))

    def _packed(self, linear: LinearMap) -> dict[str, Matrices]:
        """Return irrep -> matrices as kernels want them."""
        return {irrep: pack_matrices(matrix, self.backend) for irrep, matrix in linear.items()}

    def _fitted(self, layer: LayerDescription) -> _Fitted:
        """Return the radial weights with their splines, or with those of their functions."""
        radial = _normalized(layer)
        pairs = SpeciesPairs.of(radial, self._n_species)
        if self.exact_radial:
            return _Fitted(radial, None)
        if len(pairs) == 1:
            return _Fitted(radial, self._splines(radial))
        found = self._splines(radial, most_numbers(self.description, radial))
        if found is not None:
            return _Fitted(radial, found)
        of_functions = self._splines(bare_functions(radial))
        if of_functions is None:
            return _Fitted(radial, None)
        return _Fitted(tabulated(radial, pairs, of_functions), of_functions, of_weights=False)

    def _edges(
        self, layer: LayerDescription, fitted: _Fitted, is_first: bool
    ) -> tuple[EdgeProgram, MixTables, dict[str, Any]]:
        """Return the edge operation, the maps of its sums, and its weights."""
        program = edge_program(layer, self.description.cutoff)
        mix, copies = mix_tables(layer)
        weights = self._first(layer) if is_first else {}
        radial, found = fitted.radial, fitted.splines
        if found is None or not fitted.of_weights:
            folded = None
            if is_first and radial.network is not None and radial.factor is None:
                parts = radial.network.scale * radial.matrix
                folded = in_function_basis(program, parts, weights["first"], mix, self.backend)
            if folded is not None:
                program, weights["first"], mix = folded
            weights["radial"] = function_weights(radial, folded is not None)
        else:
            pairs = SpeciesPairs.of(radial, self._n_species)
            program = replace(program, knot_scale=found.grid.scale, n_splines=len(pairs))
            coefficients = by_path(found, program)
            if is_first and len(pairs) == 1:
                program, few, weights["first"], mix = in_low_rank_basis(
                    program,
                    coefficients[0],
                    weights["first"],
                    mix,
                    self.description.dtype,
                    self.backend,
                )
                coefficients = few[None]
            weights |= spline_weights(coefficients, pairs, self.description.dtype)
        return program, joined(mix, copies), weights

    def _splines(self, radial: RadialWeights, most: int | None = None) -> Splines | None:
        if self.exact_radial:
            return None
        pairs = SpeciesPairs.of(radial, self._n_species)
        # Splines of many pairs take much memory: no more digits are kept than are used.
        precision = self.description.dtype
        dtype = "float64" if len(pairs) == 1 else precision
        wanted = SplineRequest(radial, self.description.cutoff, pairs, precision, dtype)
        return splines(wanted if most is None else replace(wanted, most_numbers=most))

    def _messages(
        self, layer: LayerDescription, is_first: bool
    ) -> tuple[MessageProgram, dict[str, Any]]:
        """Return the operations between the mixed sums and the contraction, and their weights."""
        density, gate = None, layer.message_gate
        weights: dict[str, Any] = {}
        if isinstance(layer.normalization, Density):
            radial = layer.normalization.radial
            pairs = SpeciesPairs.of(radial, self._n_species)
            density, weights["density"] = density_program(
                layer.normalization, self._splines(radial), pairs, self.description, self.backend
            )
        if gate is not None:
            weights["after"] = self._packed(gate.after)
            if gate.own is not None:
                weights["own"] = self._first_own(gate.own) if is_first else self._packed(gate.own)
        irreps = tuple(reached_irreps(layer))
        return MessageProgram(irreps, sent_irreps(layer), density, gate, self.backend), weights

    def _first_own(self, own: LinearMap) -> dict[str, np.ndarray]:
        """Return what the gate adds to an atom's sums in the first layer, per species."""
        _, sent = self.first_features
        matrix = np.broadcast_to(own["0e"], (len(sent), *own["0e"].shape[1:]))
        return {"0e": np.einsum("smb,sba->sma", sent, matrix)}

    def _first(self, layer: LayerDescription) -> dict[str, Any]:
        """Return what atoms send in the first layer, and their skip, per species."""
        own, sent = self.first_features
        if layer.skip is None:
            return {"first": sent, "first_skip": None}
        # The first features are scalars: the skip of the other irreps is zero.
        skip = np.broadcast_to(layer.skip["0e"], (len(own), *layer.skip["0e"].shape[1:]))
        scalars = np.einsum("smb,sba->sma", own, skip)
        others = np.zeros((len(own), layer.target.dim - 1, scalars.shape[2]))
        return {"first": sent, "first_skip": np.concatenate([scalars, others], axis=1)}

    def _next(self, layer: LayerDescription, after: LayerDescription | None) -> dict[str, Any]:
        """Return the maps of the next layer that read only an atom's own features."""
        if after is None:
            return {}
        assert after.send is not None  # only the first layer has no such map
        send = dict(after.send)
        if _is_merged(layer):
            send = {irrep: layer.product[irrep] @ matrix for irrep, matrix in send.items()}
        skip = _filled(after, channels=_width(layer.product))
        return {"skip": self._packed(skip), "send": self._packed(send)}


def _normalized(layer: LayerDescription) -> RadialWeights:
    """Return the radial weights divided by the constant of the layer's sums, if it is one."""
    if isinstance(layer.normalization, Density):
        return layer.radial
    return replace(layer.radial, matrix=layer.radial.matrix / layer.normalization)


def _width(linear: LinearMap) -> int:
    """Return the channels that a map makes of every irrep."""
    [width] = {matrix.shape[2] for matrix in linear.values()}
    return width


def _channels(mix: list[np.ndarray], after: LayerDescription | None) -> Channels:
    mixed = tuple(table.shape[2] for table in mix)
    if after is None:
        return Channels(mixed)
    assert after.send is not None
    return Channels(mixed, skip=_width(after.product), sent=_width(after.send))


def _array(dtype: str, x: Any) -> jax.Array:
    """Return an array of the model's precision, of integers if it has them."""
    return jnp.asarray(x, np.int32 if np.asarray(x).dtype.kind == "i" else dtype)


def _is_merged(layer: LayerDescription) -> bool:
    """Whether nothing comes between the last map of a layer and the first of the next."""
    return layer.skip is None and layer.bound is None


def _used_product(layer: LayerDescription, after: LayerDescription | None) -> LinearMap:
    """Return the last map of a layer, to what the next skip and the readout read."""
    if after is None or not _is_merged(layer):
        return layer.product
    used = {*layer.readout.reads, *(str(irrep) for _, irrep in after.target)}
    return {irrep: matrix for irrep, matrix in layer.product.items() if irrep in used}


def _filled(layer: LayerDescription, channels: int) -> dict[str, np.ndarray]:
    """Return the skip of h with zeros to those irreps of the layer's results that it lacks."""
    linear = layer.skip or {}
    shapes = {matrix.shape for matrix in linear.values()} or {(1, channels, _width(layer.product))}
    [shape] = shapes
    return {str(ir): linear.get(str(ir), np.zeros(shape)) for _, ir in layer.target}
