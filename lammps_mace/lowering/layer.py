"""From the description of a layer to its program and weights: what is folded, and into what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from lammps_mace.kernels import EdgeProgram, Matrices, pack_matrices, pack_spline
from lammps_mace.lowering.contraction import contraction
from lammps_mace.lowering.edges import edge_program, mix_tables
from lammps_mace.lowering.low_rank_basis import in_low_rank_basis
from lammps_mace.lowering.optimized_layer import LayerProgram, OptimizedLayer
from lammps_mace.lowering.spline_cache import splines
from lammps_mace.models.description import (
    LayerDescription,
    LinearMap,
    ModelDescription,
    RadialWeights,
)


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

    @cached_property
    def first_features(self) -> tuple[np.ndarray, np.ndarray]:
        """What atoms know, and send, before the first layer, float64 [n_species, 1, channels]."""
        own, sent = (np.asarray(x, np.float64) for x in self.description.first_features())
        return own, sent

    def layers(self) -> list[OptimizedLayer]:
        """Return the layers of the model."""
        return [self._layer(i) for i in range(len(self.description.layers))]

    def _layer(self, index: int) -> OptimizedLayer:
        layer, *rest = self.description.layers[index:]
        after = rest[0] if rest else None
        contraction_program, terms = contraction(layer, len(self.first_features[0]))
        edges, edge_weights = self._edges(layer, is_first=not index)
        gate = layer.scalar_gate
        program = LayerProgram(
            edges=edges,
            radial=layer.radial,
            contraction=contraction_program,
            target=layer.target,
            next_target=None if after is None else after.target,
            readout=layer.readout.function,
            bound=layer.bound,
            merged=_is_merged(layer),
            backend=self.backend,
        )
        weights = {
            "terms": terms,
            "product": self._packed(_used_product(layer, after)),
            "gates": None if gate is None else (gate.weight, gate.bias),
            "readout": layer.readout.parameters,
            **edge_weights,
            **self._next(layer, after),
        }
        dtype = self.description.dtype
        return OptimizedLayer(program, jax.tree.map(lambda x: jax.numpy.asarray(x, dtype), weights))

    def _packed(self, linear: LinearMap) -> dict[str, Matrices]:
        """Return irrep -> matrices as kernels want them."""
        return {irrep: pack_matrices(matrix, self.backend) for irrep, matrix in linear.items()}

    def _edges(self, layer: LayerDescription, is_first: bool) -> tuple[EdgeProgram, dict[str, Any]]:
        """Return the edge operation, what it reads, and the map of its sums."""
        program, mix = edge_program(layer, self.description.cutoff), mix_tables(layer)
        weights = self._first(layer) if is_first else {}
        radial = _normalized(layer)
        found = None if self.exact_radial else splines(radial, self.description.cutoff)
        if found is None:
            weights["radial"] = radial.parameters, radial.matrix, radial.factor
        else:
            program = replace(program, knot_scale=found.grid.scale)
            coefficients = found.coefficients.reshape(found.grid.knots + 3, len(program.paths), -1)
            if is_first:
                program, coefficients, weights["first"], mix = in_low_rank_basis(
                    program, coefficients, weights["first"], mix
                )
            weights["spline"] = pack_spline(coefficients)
        return program, {**weights, "mix": [pack_matrices(table, self.backend) for table in mix]}

    def _first(self, layer: LayerDescription) -> dict[str, Any]:
        """Return what the first layer starts from, per species."""
        own, sent = self.first_features
        if layer.skip is None:
            return {"first": sent, "first_skip": None}
        # The atoms of a species know scalars only: the skip of the other irreps is zero.
        skip = np.broadcast_to(layer.skip["0e"], (len(own), *layer.skip["0e"].shape[1:]))
        scalars = np.einsum("smb,sba->sma", own, skip)
        others = np.zeros((len(own), layer.target.dim - 1, scalars.shape[2]))
        return {"first": sent, "first_skip": np.concatenate([scalars, others], axis=1)}

    def _next(self, layer: LayerDescription, after: LayerDescription | None) -> dict[str, Any]:
        """Return the maps of the next layer that read only an atom's own features."""
        if after is None:
            return {}
        assert after.send is not None  # only the first layer sends what it is given
        send = dict(after.send)
        if _is_merged(layer):
            send = {irrep: layer.product[irrep] @ matrix for irrep, matrix in send.items()}
        skip = None if after.skip is None else self._packed(_filled(after.skip, after))
        return {"skip": skip, "send": self._packed(send)}


def _normalized(layer: LayerDescription) -> RadialWeights:
    """Return the radial weights divided by the constant of the layer's sums."""
    return replace(layer.radial, matrix=layer.radial.matrix / layer.normalization)


def _is_merged(layer: LayerDescription) -> bool:
    """Whether nothing comes between the last map of a layer and the first of the next."""
    return layer.skip is None and layer.bound is None


def _used_product(layer: LayerDescription, after: LayerDescription | None) -> LinearMap:
    """Return the last map of a layer, to what the next skip and the readout read."""
    if after is None or not _is_merged(layer):
        return layer.product
    used = {*layer.readout.reads, *(str(irrep) for _, irrep in after.target)}
    return {irrep: matrix for irrep, matrix in layer.product.items() if irrep in used}


def _filled(linear: Mapping[str, np.ndarray], layer: LayerDescription) -> dict[str, np.ndarray]:
    """Return the map with zeros to those irreps of the layer's results that it lacks."""
    [shape] = {matrix.shape for matrix in linear.values()}
    return {str(ir): linear.get(str(ir), np.zeros(shape)) for _, ir in layer.target}
