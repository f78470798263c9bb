"""Sums of one number per pair over the neighbours of an atom: densities and energies of pairs."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from lammps_mace.engine.chunk import Chunk
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.models.blocks.norms import safe_norm

# (distances [n], Å, species of senders and of receivers, int32 [n]) -> [n]
PairFunction = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def neighbour_sums(
    function: PairFunction, cutoff: float, arrays: StepArrays, chunk: Chunk, vectors: jax.Array
) -> jax.Array:
    """Return for each atom of a chunk the sum over its pairs, [slots].

    Differentiable in the vectors. As in the edge operations, pairs with r = 0 or r >= cutoff
    contribute exactly zero.

    Args:
        function: of a pair.
        vectors: [n_pairs, 3], Å, of the chunk's pairs and of some that follow.
    """
    senders = chunk.pairs(arrays.sender_species)
    receivers = jnp.broadcast_to(chunk.species, senders.shape)
    distances = safe_norm(vectors)
    inside = chunk.pair_mask() & (distances > 0.0) & (distances < cutoff)
    # Any harmless distance: its number is replaced by zero.
    values = function(jnp.where(inside, distances, 0.5 * cutoff), senders, receivers)
    values = jnp.where(inside, values, 0.0)
    return jax.ops.segment_sum(
        values, chunk.receivers(), chunk.n_slots, indices_are_sorted=True
    )  # fmt: skip
