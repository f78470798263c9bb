"""Partial charges: their sum is the total charge; their Coulomb energy."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lammps_mace.graph import Graph
from lammps_mace.models.blocks.norms import safe_norm
from lammps_mace.models.constants import COULOMB_CONSTANT, DAMPING_CUTOFF
from lammps_mace.models.coulomb import damped


def neutralized(charges: jax.Array, graph: Graph) -> jax.Array:
    """Return charges [n_nodes] (e), shifted so that each structure has its total charge.

    q_i -> q_i - (sum_j q_j - Q) / n, over the atoms of the structure; padding gets 0.

    Raises:
        ValueError: the graph has no total charge.
    """
    if graph.globals.charge is None:
        raise ValueError("predict_partial_charges: the graph needs globals.charge; it is None")
    mask = graph.node_mask()
    charges = jnp.where(mask, charges, 0.0)
    count = jnp.maximum(graph.sum_nodes(mask.astype(charges.dtype)), 1.0)
    shift = (graph.sum_nodes(charges) - graph.globals.charge.astype(charges.dtype)) / count
    return jnp.where(mask, charges - shift[graph.node_graph()], 0.0)


def coulomb_energies(charges: jax.Array, graph: Graph) -> jax.Array:
    """Return the Coulomb energy of each atom, half of each of its pairs, [n_nodes], eV.

    Args:
        charges: [n_nodes], e.
        graph: with the pairs ``long_range``.
    """
    pairs = graph.long_range_pairs()
    distances = safe_norm(graph.long_range_vectors())
    energies = charges[pairs.senders] * charges[pairs.receivers] * damped_inverse(distances)
    if pairs.edges.mask is not None:
        energies = jnp.where(pairs.edges.mask, energies, 0.0)
    return 0.5 * COULOMB_CONSTANT * jax.ops.segment_sum(energies, pairs.receivers, graph.n_nodes)


def damped_inverse(distances: jax.Array) -> jax.Array:
    """Return 1/r (r in Å), smoothly replaced by 1/sqrt(r^2 + 1) towards r = 0, where it is 1."""
    apart = distances > 0.0
    inverse, _ = damped(jnp.where(apart, distances, 1.0) ** 2, DAMPING_CUTOFF)
    return jnp.where(apart, inverse, 1.0)
