"""Equivariant linear maps: channels are mixed within each irrep, components never."""

from __future__ import annotations

import math

import e3nn_jax as e3nn
import flax.linen as nn
import jax
import jax.numpy as jnp

Blocks = dict[e3nn.Irrep, jax.Array]  # irrep -> [n, 2l+1, multiplicity]


def irrep_order(irrep: e3nn.Irrep) -> tuple[int, bool]:
    """Sort key: by degree, and within one degree the natural parity (-1)^l first."""
    return irrep.l, irrep.p != (-1) ** irrep.l


def split(features: jax.Array, irreps: e3nn.Irreps) -> Blocks:
    """Cut [n, dim, channels] into one block per irrep of ``irreps`` (each named once)."""
    blocks, start = {}, 0
    for _, irrep in irreps:
        blocks[irrep] = features[:, start : start + irrep.dim]
        start += irrep.dim
    return blocks


def join(blocks: Blocks, irreps: e3nn.Irreps) -> jax.Array:
    """Put blocks of equal multiplicity together to [n, dim, channels]; inverse of split."""
    return jnp.concatenate([blocks[irrep] for _, irrep in irreps], axis=1)


def multiplicities(irreps: e3nn.Irreps) -> dict[e3nn.Irrep, int]:
    """Return irrep -> multiplicity; every irrep stands once in ``irreps``."""
    # Not irreps.count: flax stores a module's Irreps as a plain tuple of (multiplicity, irrep).
    return {irrep: multiplicity for multiplicity, irrep in irreps}


def weight_names(
    source: dict[e3nn.Irrep, int], target: dict[e3nn.Irrep, int]
) -> dict[e3nn.Irrep, str]:
    """Names of the weight matrices of a map between two representations, as in checkpoints.

    When both hold the same irreps in the same order they are numbered in that order, else in the
    sorted order of all irreps that occur.
    """
    order = list(source)
    if order != list(target):
        order = sorted({*source, *target}, key=irrep_order)
    return {irrep: f"weight{i}_{irrep.l}_{irrep.p}" for i, irrep in enumerate(order)}


class Linear(nn.Module):
    """y[l, :, a] = sum_b W_l[a, b] x[l, :, b] / sqrt(number of b).

    Irreps that only the target has come out as zeros; those that only the source has are dropped.

    Attributes:
        source, target: representations; every irrep stands once, with its multiplicity.
    """

    source: e3nn.Irreps
    target: e3nn.Irreps

    @nn.compact
    def __call__(self, blocks: Blocks) -> Blocks:
        source, target = multiplicities(self.source), multiplicities(self.target)
        n, dtype = next((b.shape[0], b.dtype) for b in blocks.values())
        out = {}
        for irrep, name in weight_names(source, target).items():
            m_in, m_out = source.get(irrep, 0), target.get(irrep, 0)
            weight = self.param(name, nn.initializers.normal(1.0), (m_out, m_in))
            if m_in and m_out:
                out[irrep] = blocks[irrep] @ (weight.T.astype(dtype) / math.sqrt(m_in))
            elif m_out:
                out[irrep] = jnp.zeros((n, irrep.dim, m_out), dtype)
        return out


class SpeciesLinear(nn.Module):
    """Like :class:`Linear` with one set of weights per species.

    Attributes:
        source, target: representations; every irrep stands once, with its multiplicity.
        num_species: number of sets.
    """

    source: e3nn.Irreps
    target: e3nn.Irreps
    num_species: int

    @nn.compact
    def __call__(self, blocks: Blocks, species: jax.Array) -> Blocks:
        source, target = multiplicities(self.source), multiplicities(self.target)
        dtype = next(b.dtype for b in blocks.values())
        out = {}
        for irrep, name in weight_names(source, target).items():
            m_in, m_out = source.get(irrep, 0), target.get(irrep, 0)
            weight = self.param(name, nn.initializers.normal(1.0), (self.num_species, m_out, m_in))
            if m_in and m_out:
                scaled = weight.astype(dtype) / math.sqrt(m_in)
                out[irrep] = _apply_by_species(blocks[irrep], scaled, species)
            elif m_out:
                out[irrep] = jnp.zeros((species.shape[0], irrep.dim, m_out), dtype)
        return out


def _apply_by_species(block: jax.Array, weight: jax.Array, species: jax.Array) -> jax.Array:
    # One dense product per species and a selection: for the few species of a model this is
    # faster, and in its gradient leaner, than gathering one matrix per atom.
    if weight.shape[0] == 1:
        return block @ weight[0].T
    if weight.shape[0] <= 4:
        every = jnp.einsum("nmb,sab->snma", block, weight)
        return jnp.take_along_axis(every, species[None, :, None, None], axis=0)[0]
    return jnp.einsum("nmb,nab->nma", block, weight[species])
