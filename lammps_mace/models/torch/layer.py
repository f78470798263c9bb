"""One layer of mace-torch as the library defines it, in plain JAX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp

from lammps_mace.models.blocks.irreps import Irrep, parse_irrep_list
from lammps_mace.models.blocks.linear import Blocks, join, split
from lammps_mace.models.blocks.norms import safe_norm
from lammps_mace.models.blocks.paths import TensorProductPath
from lammps_mace.models.blocks.polynomial import Polynomial
from lammps_mace.models.description import Density, RadialWeights
from lammps_mace.models.network import NetworkEdges
from lammps_mace.models.torch.config import LayerConfig, TorchMaceConfig
from lammps_mace.models.torch.paths import message_paths
from lammps_mace.models.torch.radial import density, radial_weights
from lammps_mace.models.torch.weights import LinearMap, contraction, linear_map


@dataclass(frozen=True, eq=False)
class TorchLayer:
    """A layer of a model.

    Attributes:
        config, params: of the model.
        index: of the layer.
    """

    config: TorchMaceConfig
    params: Mapping[str, Any]
    index: int

    @property
    def settings(self) -> LayerConfig:
        """Of this layer."""
        return self.config.layers[self.index]

    @property
    def arrays(self) -> Mapping[str, Any]:
        """Of this layer."""
        return self.params[f"layers_{self.index}"]

    @cached_property
    def source(self) -> e3nn.Irreps:
        """Irreps of the features before it."""
        return as_irreps(self.config.source(self.index))

    @cached_property
    def sent(self) -> e3nn.Irreps:
        """Irreps of what atoms send, without those that are always zero."""
        sent = parse_irrep_list(self.settings.sent)
        return as_irreps([ir for ir in sent if ir in self.config.source(self.index)])

    @cached_property
    def messages(self) -> e3nn.Irreps:
        """Irreps of the mixed sums."""
        return as_irreps(parse_irrep_list(self.settings.messages))

    @cached_property
    def target(self) -> e3nn.Irreps:
        """Irreps of the new features."""
        return as_irreps(parse_irrep_list(self.settings.target))

    @cached_property
    def paths(self) -> tuple[TensorProductPath, ...]:
        """All products, in the order of the radial weights."""
        return message_paths(self.config, self.settings)

    @cached_property
    def radial(self) -> RadialWeights:
        """Weights of the products."""
        return radial_weights(self.config, self.settings, self.params["radial"], self.arrays)

    @cached_property
    def normalization(self) -> float | Density:
        """Divisor of the sums."""
        return density(self.config, self.settings, self.params["radial"], self.arrays)

    @cached_property
    def contraction(self) -> tuple[Polynomial, dict[str, Any]]:
        """Polynomial of the messages, and its weights."""
        return contraction(self.settings, self.arrays)

    def linear(self, name: str) -> LinearMap:
        """Return a map of the layer; empty where it has none."""
        return linear_map(self.arrays.get(name, {}))

    def parameters(self) -> dict[str, Any]:
        """Return the arrays that :meth:`update` reads, as a pytree."""
        maps = "linear_up", "linear", "skip_tp", "linear_res", "linear_2", "product"
        found: dict[str, Any] = {name: self.linear(name) for name in maps}
        found["radial"] = self.radial.parameters, self.radial.matrix
        found["contraction"] = self.contraction[1]
        if isinstance(self.normalization, Density):
            found["density"] = self.normalization.radial.parameters
        return found

    def send(self, linear_up: LinearMap, features: jax.Array) -> jax.Array:
        """Return what atoms send, [n, dim, sent channels], of [n, source dim, channels]."""
        return join(_mapped(split(features, self.source), linear_up), self.sent)

    def update(
        self, parameters: Any, own: jax.Array, sent: jax.Array, species: jax.Array,
        edges: NetworkEdges,
    ) -> jax.Array:  # fmt: skip
        """Return the new features [n, target dim, channels]; see ``NetworkLayer.function``."""
        messages = self._messages(parameters, sent, species, edges)
        skip = _mapped(split(own, self.source), parameters["skip_tp"], species)
        if self.settings.interaction.is_non_linear:
            up = _mapped(split(own, self.source), parameters["linear_up"])
            messages = self._gated(parameters, messages, _mapped(up, parameters["linear_res"]))
        elif not self.settings.interaction.has_skip:
            messages, skip = _mapped(messages, parameters["skip_tp"], species), {}
        n, channels = len(species), self.config.channels
        messages = _complete(messages, self.messages, n, channels, own.dtype)
        polynomial, _ = self.contraction
        rows = jnp.zeros_like(species) if self.settings.agnostic_product else species
        contracted = polynomial(join(messages, self.messages), parameters["contraction"], rows)
        new = _mapped(split(contracted, self.target), parameters["product"])
        return join({ir: new[ir] + skip.get(ir, 0.0) for ir in new}, self.target)

    def _messages(
        self, parameters: Any, sent: jax.Array, species: jax.Array, edges: NetworkEdges
    ) -> Blocks:
        """Return the mixed sums over neighbours, divided."""
        distances = safe_norm(edges.vectors)
        pairs = edges.sender_species, edges.receiver_species
        radial, matrix = parameters["radial"]
        weights = self.radial.functions(radial, distances, *pairs) @ matrix
        weights = jnp.where(edges.mask[:, None], weights, 0.0)
        weights = weights.reshape(len(weights), len(self.paths), -1)
        sums = self._sums(sent, weights, edges, len(species))
        mixed = _mapped(sums, parameters["linear"])
        if not isinstance(self.normalization, Density):
            return {ir: block / self.normalization for ir, block in mixed.items()}
        each = self.normalization.radial.functions(parameters["density"], distances, *pairs)
        each = jnp.where(edges.mask[:, None], each, 0.0)
        total = jax.ops.segment_sum(each, edges.receivers, len(species))[..., None]
        divisor = self.normalization.constant + self.normalization.factor * total
        return {ir: block / divisor for ir, block in mixed.items()}

    def _sums(
        self, sent: jax.Array, weights: jax.Array, edges: NetworkEdges, n_atoms: int
    ) -> Blocks:
        """Return the sums over neighbours by irrep, [n, 2l+1, paths * channels]."""
        harmonics = e3nn.spherical_harmonics(
            e3nn.Irreps.spherical_harmonics(self.config.max_degree), edges.vectors, normalize=True,
            normalization="component",
        ).array  # fmt: skip
        blocks = split(sent, self.sent)
        out: dict[e3nn.Irrep, list[jax.Array]] = {}
        for index, path in enumerate(self.paths):
            if path.source not in blocks:
                shape = n_atoms, path.target.dim, weights.shape[2]
                out.setdefault(path.target, []).append(jnp.zeros(shape, weights.dtype))
                continue
            y = harmonics[:, path.degree**2 : (path.degree + 1) ** 2]
            coupling = jnp.einsum("abc,eb->eca", path.coefficients.astype(y.dtype), y)
            message = (coupling @ blocks[path.source]) * weights[:, index, None, :]
            summed = jax.ops.segment_sum(message, edges.receivers, n_atoms)
            out.setdefault(path.target, []).append(summed)
        return {irrep: jnp.concatenate(parts, axis=2) for irrep, parts in out.items()}

    def _gated(self, parameters: Any, messages: Blocks, residual: Blocks) -> Blocks:
        """Return the messages after the gate of the non-linear interaction."""
        n, channels = len(next(iter(messages.values()))), self.config.channels
        scalar = e3nn.Irrep("0e")
        total: dict[e3nn.Irrep, Any] = {
            ir: messages.get(ir, 0.0) + residual.get(ir, 0.0) for ir in (*messages, *residual)
        }
        numbers = total.pop(scalar)
        out = {scalar: jax.nn.silu(numbers[:, :, :channels])}
        gates = jax.nn.sigmoid(numbers[:, :, channels:]).reshape(n, -1, channels)
        for index, (_, irrep) in enumerate(ir for ir in self.messages if ir.ir != scalar):
            if irrep in total:
                out[irrep] = total[irrep] * gates[:, index, None, :]
        return _mapped(out, parameters["linear_2"])


def as_irreps(irreps: Sequence[Irrep]) -> e3nn.Irreps:
    """Return irreps, each once, as e3nn-jax has them."""
    return e3nn.Irreps([(1, irrep) for irrep in irreps])


def _mapped(blocks: Blocks, linear: LinearMap, species: jax.Array | None = None) -> Blocks:
    """Return blocks [n, 2l+1, channels] mapped, those of irreps without a matrix left out."""
    out = {}
    for irrep, block in blocks.items():
        matrix = linear.get(str(irrep))
        if matrix is None:
            continue
        each = matrix[jnp.zeros_like(species) if len(matrix) == 1 else species] if (
            species is not None
        ) else matrix  # fmt: skip
        out[irrep] = block @ each
    return out


def _complete(blocks: Blocks, irreps: e3nn.Irreps, n: int, channels: int, dtype: Any) -> Blocks:
    """Return the blocks of all these irreps, with zeros where there was none."""
    return {ir: blocks.get(ir, jnp.zeros((n, ir.dim, channels), dtype)) for _, ir in irreps}
