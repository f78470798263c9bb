"""Readout: scalars of the node features to energies (and charges) per atom and head."""

from __future__ import annotations

import e3nn_jax as e3nn
import flax.linen as nn
import jax
import jax.numpy as jnp

from lammps_mace.models.blocks.activation import normalized, normalized_odd
from lammps_mace.models.blocks.linear import Blocks, Linear
from lammps_mace.models.options import Activation


class ReadoutBlock(nn.Module):
    """Linear map to the outputs or, with an activation, linear - gate - linear.

    Attributes:
        source: irreps of the node features with their multiplicity.
        layers: irreps after each linear map.
        activation: applied between them; None with a single map.
    """

    source: e3nn.Irreps
    layers: tuple[e3nn.Irreps, ...]
    activation: Activation | None = None

    @nn.compact
    def __call__(self, blocks: Blocks) -> jax.Array:
        """Return the scalar outputs [n, n_outputs]."""
        source = e3nn.Irreps(self.source)
        for i, layer in enumerate(self.layers):
            target = e3nn.Irreps(layer).regroup()
            # Named by hand: the parameters of checkpoints are called so.
            blocks = Linear(source, target, name=f"Linear_{i}")(blocks)
            source = target
            if i + 1 < len(self.layers):
                blocks, source = _gate(blocks, source, self.activation or Activation.NONE)
        return blocks[e3nn.Irrep("0e")][:, 0, :]


def _gate(blocks: Blocks, irreps: e3nn.Irreps, name: Activation) -> tuple[Blocks, e3nn.Irreps]:
    # e3nn's gate knows the bookkeeping of odd scalars and gated vectors; its layout has the
    # multiplicity before the component.
    chunks = [jnp.swapaxes(blocks[irrep], 1, 2) for _, irrep in irreps]
    array = e3nn.from_chunks(irreps, chunks, (chunks[0].shape[0],))
    gated = e3nn.gate(
        array,
        even_act=normalized(name, array.dtype),
        odd_act=normalized_odd(array.dtype),
        even_gate_act=None,
        odd_gate_act=normalized(Activation.TANH, array.dtype),
        normalize_act=False,
    ).regroup()
    out = {
        irrep: jnp.swapaxes(chunk, 1, 2)
        for (_, irrep), chunk in zip(gated.irreps, gated.chunks, strict=True)
    }
    return out, gated.irreps


class MultiHeadReadout(nn.Module):
    """Independent readouts of the same features.

    Attributes:
        num_heads: how many.
        source, layers, activation: of every :class:`ReadoutBlock`.
    """

    num_heads: int
    source: e3nn.Irreps
    layers: tuple[e3nn.Irreps, ...]
    activation: Activation | None = None

    @nn.compact
    def __call__(self, blocks: Blocks) -> jax.Array:
        """Return [n, num_heads, n_outputs]."""
        heads = [
            ReadoutBlock(self.source, self.layers, self.activation, name=f"ReadoutBlock_{i}")
            for i in range(self.num_heads)
        ]
        return jnp.stack([head(blocks) for head in heads], axis=1)
