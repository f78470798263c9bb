"""Gaunt tensor products: irreps as functions on the sphere, multiplied point by point.

x = sum_lm x_lm Y_lm(r) is a function of the direction r; the product of two such functions,
projected back on Y_lm, is equivariant (Luo et al., ICLR 2024, arXiv:2401.10216). Harmonics have
parity (-1)^l, so pseudotensors have no place here.
"""

from __future__ import annotations

import math

import e3nn_jax as e3nn
import flax.linen as nn
import jax
import jax.numpy as jnp

from lammps_mace.models.blocks.linear import Blocks, Linear, irrep_order, join, split, weight_names
from lammps_mace.models.blocks.quadrature import harmonics_at, sphere_rule
from lammps_mace.models.mlip.interaction import EdgeInputs, Interaction, RadialMLP, sum_by_receiver


def to_sphere(features: jax.Array, irreps: e3nn.Irreps, degree: int) -> jax.Array:
    """Return the functions [..., n_points, channels] with the coefficients [..., dim, channels]."""
    return jnp.matmul(harmonics_at(irreps, degree).astype(features.dtype), features)


def from_sphere(values: jax.Array, irreps: e3nn.Irreps, degree: int) -> jax.Array:
    """Return the means of values times harmonics: [..., n_points, C] to [..., dim, C]."""
    weighted = harmonics_at(irreps, degree) * sphere_rule(degree)[1][:, None]
    return jnp.matmul(weighted.T.astype(values.dtype), values)


def gaunt_product(
    x1: jax.Array,
    irreps1: e3nn.Irreps,
    x2: jax.Array,
    irreps2: e3nn.Irreps,
    target: e3nn.Irreps,
) -> jax.Array:
    """Return z_lm = mean over r of x1(r) x2(r) Y_lm(r), [..., target dim, channels].

    Args:
        x1: [..., dim, channels].
        irreps1: of x1; multiplicity 1 and parity (-1)^l, like the other two.
        x2: [..., dim, channels].
        irreps2: of x2.
        target: of the result.
    """
    degree = sum(max(irreps.ls) for irreps in (irreps1, irreps2, target))
    product = to_sphere(x1, irreps1, degree) * to_sphere(x2, irreps2, degree)
    return from_sphere(product, target, degree)


def pseudotensors(irreps: e3nn.Irreps) -> list[str]:
    """Names of the irreps whose parity is not that of a spherical harmonic."""
    return [str(ir) for _, ir in irreps if ir.p != (-1) ** ir.l]


def mix_name(index: int, irrep: e3nn.Irrep, channels: int) -> str:
    """Name of the channel matrix of an irrep, as in checkpoints."""
    return f"w[{index},{index}] {channels}x{irrep},{channels}x{irrep}"


def bias_name(factor: int) -> str:
    """Name of the constant of a factor of the contraction, as in checkpoints."""
    return f"gaunt_symmetric_contraction_bias_{factor}"


class ChannelMix(nn.Module):
    """One channel matrix per irrep, named as e3nn's flax ``Linear`` names them."""

    irreps: e3nn.Irreps
    num_channels: int

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Return [n, dim, channels] of the same shape."""
        c, out = self.num_channels, {}
        for i, (irrep, block) in enumerate(split(features, e3nn.Irreps(self.irreps)).items()):
            name = mix_name(i, irrep, c)
            weight = self.param(name, nn.initializers.normal(1.0), (c, c))
            out[irrep] = block @ (weight.astype(features.dtype) / math.sqrt(c))
        return join(out, e3nn.Irreps(self.irreps))


class GauntSymmetricContraction(nn.Module):
    """Product of ``correlation`` linear images of the features as functions on the sphere.

    mlip's backend ``gaunt_tp``: B = W_species < Y, f_0 (f_1 + b_1) (f_2 + b_2) ... >.

    Attributes:
        source, target: irreps of multiplicity 1; all channels are treated alike.
        correlation: number of factors.
        num_species, num_channels: sizes of the weights.
    """

    source: e3nn.Irreps
    target: e3nn.Irreps
    correlation: int
    num_species: int
    num_channels: int

    def setup(self) -> None:
        """Make the parameters.

        Raises:
            ValueError: source or target has a pseudotensor.
        """
        if found := pseudotensors(e3nn.Irreps(self.source) + e3nn.Irreps(self.target)):
            raise ValueError(
                f"symmetric_contraction_backend='gaunt_tp' cannot hold pseudotensors, got {found}; "
                "set include_pseudotensors=False or take the backend 'e3j'"
            )
        channels = self.num_channels
        self.linear_in = [ChannelMix(self.source, channels) for _ in range(self.correlation)]
        # Checkpoints have a bias for the first factor too; it is not used.
        self.biases = [
            self.param(bias_name(i), nn.initializers.normal(), (channels,))
            for i in range(self.correlation)
        ]
        self.linear_out = SpeciesScale(self.target, self.num_species, channels)

    def __call__(self, features: jax.Array, species: jax.Array) -> jax.Array:
        """Return [n, target dim, channels] for [n, source dim, channels] and int [n]."""
        source, target = e3nn.Irreps(self.source), e3nn.Irreps(self.target)
        degree = self.correlation * max(source.ls) + max(target.ls)
        product = to_sphere(self.linear_in[0](features), source, degree)
        for linear, bias in zip(self.linear_in[1:], self.biases[1:], strict=True):
            factor = to_sphere(linear(features), source, degree)
            product = product * (factor + bias.astype(features.dtype))
        return self.linear_out(from_sphere(product, target, degree), species)


class SpeciesScale(nn.Module):
    """One factor per species, irrep and channel."""

    irreps: e3nn.Irreps
    num_species: int
    num_channels: int

    @nn.compact
    def __call__(self, features: jax.Array, species: jax.Array) -> jax.Array:
        """Return [n, dim, channels] of the same shape; species int [n]."""
        irreps = e3nn.Irreps(self.irreps)
        blocks = split(features, irreps)
        ones = dict.fromkeys(blocks, 1)
        for irrep, name in weight_names(ones, ones).items():
            shape = (self.num_species, self.num_channels, 1, 1)
            weight = self.param(name, nn.initializers.normal(1.0), shape)[:, :, 0, 0]
            blocks[irrep] = blocks[irrep] * weight.astype(features.dtype)[species][:, None]
        return join(blocks, irreps)


class GauntInteraction(Interaction):
    """Messages made by a Gaunt product of features and per-channel harmonics.

    mlip's option ``use_gaunt_tp_message_passing``; attributes and methods as in the base class.
    """

    @property
    def harmonics(self) -> e3nn.Irreps:
        """Irreps of the edges."""
        return e3nn.Irreps.spherical_harmonics(self.l_max)

    @property
    def messages(self) -> e3nn.Irreps:
        """Irreps of the messages, multiplicity 1."""
        return gaunt_messages(e3nn.Irreps(self.source), self.harmonics, e3nn.Irreps(self.target))

    def setup(self) -> None:
        """Make the parameters.

        Raises:
            ValueError: a message is a pseudotensor.
        """
        channels, source, target = self.num_channels, *map(e3nn.Irreps, (self.source, self.target))
        self.radial_mlp = RadialMLP(
            self.radial_mlp_hidden, len(self.messages) * channels, self.radial_mlp_activation
        )
        self.linear_in = Linear(channels * source, channels * source)
        self.linear_proj = Linear(self.harmonics, channels * self.harmonics)
        self.linear_out = Linear(channels * self.messages, channels * target)

    def receive(self, sent: jax.Array, edges: EdgeInputs, n_receivers: int) -> Blocks:
        """Return the mixed sums of the messages, irrep -> [n_receivers, 2l+1, channels].

        Args:
            sent: [n_edges, dim, channels], what the sender of each edge sends.
            edges: radial and angular embeddings, receivers.
            n_receivers: rows of the result.
        """
        source, harmonics, irreps = e3nn.Irreps(self.source), self.harmonics, self.messages
        weights = self.radial_mlp(edges.radial).reshape(-1, len(irreps), self.num_channels)
        spherical = self.linear_proj(split(edges.spherical[:, :, None], harmonics))
        messages = gaunt_product(sent, source, join(spherical, harmonics), harmonics, irreps)
        sums = {
            irrep: sum_by_receiver(
                block * weights[:, i, None], edges, n_receivers, self.deterministic
            )
            for i, (irrep, block) in enumerate(split(messages, irreps).items())
        }
        return self.linear_out({ir: block / self.avg_num_neighbors for ir, block in sums.items()})


def gaunt_messages(source: e3nn.Irreps, harmonics: e3nn.Irreps, target: e3nn.Irreps) -> e3nn.Irreps:
    """Irreps of ``target`` that products of source and harmonics reach, once each, sorted.

    Raises:
        ValueError: one of them is a pseudotensor.
    """
    reached = {ir for _, a in source for _, b in harmonics for ir in a * b}
    kept = sorted(reached & {ir for _, ir in target}, key=irrep_order)
    messages = e3nn.Irreps([(1, ir) for ir in kept])
    if found := pseudotensors(messages):
        raise ValueError(
            f"use_gaunt_tp_message_passing=True cannot make pseudotensors, got {found}; "
            "set include_pseudotensors=False or use_gaunt_tp_message_passing=False"
        )
    return messages
