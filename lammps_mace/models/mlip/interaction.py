"""Interaction block: messages from neighbours, a Clebsch-Gordan product weighted by distance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import e3nn_jax as e3nn
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.models.blocks.activation import normalized
from lammps_mace.models.blocks.linear import Blocks, Linear, irrep_order, split
from lammps_mace.models.blocks.paths import TensorProductPath
from lammps_mace.models.options import Activation


class EdgeInputs(NamedTuple):
    """What a layer needs to know of the pairs.

    Attributes:
        radial: [n_edges, num_rbf] radial basis.
        spherical: [n_edges, (l_max+1)^2] spherical harmonics.
        receivers: int32 [n_edges], rows of the receiving atoms.
        mask: bool [n_edges] or None, False for padding.
        sender_species, receiver_species: int32 [n_edges]; needed for species_pair_scaling only.
    """

    radial: jax.Array
    spherical: jax.Array
    receivers: jax.Array
    mask: jax.Array | None = None
    sender_species: jax.Array | None = None
    receiver_species: jax.Array | None = None


@lru_cache
def message_paths(
    source: e3nn.Irreps, l_max: int, target: e3nn.Irreps
) -> tuple[TensorProductPath, ...]:
    """Return all products of ``source`` with harmonics up to ``l_max`` that end in ``target``.

    The order is that of the radial weights: by target irrep, then source, then degree. The
    coefficients include sqrt(2 l_target + 1).
    """
    wanted = {irrep for _, irrep in target}
    paths = [
        TensorProductPath(one, degree, out, _clebsch_gordan(one.l, degree, out.l))
        for _, one in source
        for degree in range(l_max + 1)
        for out in one * e3nn.Irrep(degree, (-1) ** degree)
        if out in wanted
    ]
    return tuple(sorted(paths, key=lambda path: irrep_order(path.target)))


@lru_cache
def _clebsch_gordan(l1: int, l2: int, l3: int) -> np.ndarray:
    # e3nn's sign depends on the order of its arguments; checkpoints have the target first.
    coefficients = np.asarray(e3nn.clebsch_gordan(l3, l1, l2), np.float64)
    return np.moveaxis(coefficients, 0, -1) * math.sqrt(2 * l3 + 1)


def convolve(
    sent: jax.Array,
    source: e3nn.Irreps,
    paths: Sequence[TensorProductPath],
    weights: jax.Array,
    edges: EdgeInputs,
    n_receivers: int,
    deterministic: bool = False,
) -> Blocks:
    """Sum the messages of all neighbours: A_i = sum_j w_ij (h_j x Y_ij), path by path.

    Args:
        sent: [n_edges, dim, channels] features h in ``source`` of the sender of each edge.
        weights: [n_edges, n_paths, channels] radial weights w.
        n_receivers: rows of the result.
        deterministic: see :func:`sum_by_receiver`.

    Returns:
        target irrep -> [n_receivers, 2l+1, channels * paths to it], the path index fastest.
    """
    h = split(sent, source)
    out: dict[e3nn.Irrep, list[jax.Array]] = {}
    for index, path in enumerate(paths):
        y = edges.spherical[:, path.degree**2 : (path.degree + 1) ** 2]
        coupling = jnp.einsum("abc,eb->eca", path.coefficients.astype(y.dtype), y)
        message = (coupling @ h[path.source]) * weights[:, index, None, :]
        summed = sum_by_receiver(message, edges, n_receivers, deterministic)
        out.setdefault(path.target, []).append(summed)
    return {irrep: _interleave(parts) for irrep, parts in out.items()}


def _interleave(parts: list[jax.Array]) -> jax.Array:
    stacked = jnp.stack(parts, axis=-1)
    return stacked.reshape(*stacked.shape[:-2], -1)


def sum_by_receiver(
    messages: jax.Array, edges: EdgeInputs, n_receivers: int, deterministic: bool = False
) -> jax.Array:
    """Sum messages [n_edges, ...] over the edges of each receiver, [n_receivers, ...].

    On a GPU the terms arrive in any order. ``deterministic`` makes the sum a product with a matrix
    of zeros and ones, [n_receivers, n_edges], whose order is fixed; as a receiver belongs to a
    chunk of atoms, the matrix stays small.
    """
    if edges.mask is not None:
        keep = edges.mask.reshape(-1, *(1,) * (messages.ndim - 1))
        messages = jnp.where(keep, messages, 0.0)
    if deterministic:
        chosen = edges.receivers[None, :] == jnp.arange(n_receivers)[:, None]
        return jnp.tensordot(
            chosen.astype(messages.dtype), messages, axes=1, precision=jax.lax.Precision.HIGHEST
        )
    return jax.ops.segment_sum(messages, edges.receivers, n_receivers)


class RadialMLP(nn.Module):
    """Multi-layer perceptron without biases: basis functions -> weights of the paths."""

    hidden: tuple[int, ...]
    features: int
    activation: Activation

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [n, features] for [n, num_rbf]."""
        act = normalized(self.activation, x.dtype)
        for i, width in enumerate((*self.hidden, self.features)):
            if i:
                x = act(x)
            x = self._dense(i, width, x) / math.sqrt(x.shape[-1])
        return x

    def _dense(self, i: int, width: int, x: jax.Array) -> jax.Array:
        init = nn.initializers.normal(1.0)
        return nn.Dense(width, use_bias=False, kernel_init=init, name=f"layers_{i}")(x)


class Interaction(nn.Module):
    """Messages between linear maps.

    Attributes:
        source, target: irreps of the node features before and after, multiplicity 1 each.
        num_channels: channels of every irrep.
        l_max: highest degree of the harmonics.
        radial_mlp_hidden, radial_mlp_activation: the radial network.
        avg_num_neighbors: divisor of the sums.
        deterministic: sums in a fixed order.
        num_pair_species: species of the table of species_pair_scaling; None without.
    """

    source: e3nn.Irreps
    target: e3nn.Irreps
    num_channels: int
    l_max: int
    radial_mlp_hidden: tuple[int, ...]
    radial_mlp_activation: Activation
    avg_num_neighbors: float
    deterministic: bool = False
    num_pair_species: int | None = None

    def setup(self) -> None:
        channels, source, target = self.num_channels, *map(e3nn.Irreps, (self.source, self.target))
        self.paths = message_paths(source, self.l_max, target)
        self.radial_mlp = RadialMLP(
            self.radial_mlp_hidden, len(self.paths) * channels, self.radial_mlp_activation
        )
        self.linear_in = Linear(channels * source, channels * source)
        messages = e3nn.Irreps([(channels, path.target) for path in self.paths])
        self.linear_out = Linear(messages.regroup(), channels * target)
        if self.num_pair_species is not None:
            shape = (self.num_pair_species, self.num_pair_species, len(self.paths) * channels)
            self.species_pair_scale = self.param("species_pair_scale", nn.initializers.ones, shape)

    def send(self, latent: jax.Array) -> jax.Array:
        """Return what the atoms send, [n, dim, channels], a linear map of their features."""
        mixed = self.linear_in(split(latent, self.source))
        return jnp.concatenate([mixed[irrep] for _, irrep in self.source], axis=1)

    def receive(self, sent: jax.Array, edges: EdgeInputs, n_receivers: int) -> Blocks:
        """Return the mixed sums of the messages, irrep -> [n_receivers, 2l+1, channels]."""
        weights = self.radial_mlp(edges.radial)
        if self.num_pair_species is not None:
            table = self.species_pair_scale.astype(weights.dtype)
            weights = weights * table[edges.sender_species, edges.receiver_species]
        weights = weights.reshape(-1, len(self.paths), self.num_channels)
        sums = convolve(
            sent, self.source, self.paths, weights, edges, n_receivers, self.deterministic
        )
        scaled = {irrep: block / self.avg_num_neighbors for irrep, block in sums.items()}
        return self.linear_out(scaled)
