"""On the device: pairs within the cutoff out of a list, and their gradients summed over atoms."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.engine.device_list import ListArrays
from lammps_mace.engine.step_arrays import StepArrays

_XX_TO_YZ = (0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)  # LAMMPS's order


class SelectedPairs(NamedTuple):
    """The pairs of a step that are within the cutoff, in the engine's order.

    Attributes:
        n_pairs: how many, int32; the rest of the rows is padding.
        centres, senders: int32 [pair rows], rows of LAMMPS.
        displacements: float64 [pair rows, 3], r_sender - r_receiver, Å; 0 in the padding.
    """

    n_pairs: jax.Array
    centres: jax.Array
    senders: jax.Array
    displacements: jax.Array


def select_pairs(
    listed: ListArrays, positions: jax.Array, cutoff: float, dtype: np.dtype
) -> tuple[StepArrays, SelectedPairs, jax.Array]:
    """Return the arrays of a step, its pairs, and what is remarkable about them.

    Args:
        positions: float64 [atom sizes, 3], Å.
        cutoff: Å.
        dtype: of the vectors.

    Returns:
        Last int32 [3]: pairs closer than ``listed.closest``; an own row with a neighbour in the
        same place, or -1; an atom within the cutoff that has no row, or -1.
    """
    source, bounds, findings = _within(listed, positions, cutoff)
    centres, neighbours, senders = (
        array[source] for array in (listed.centres, listed.neighbours, listed.rows)
    )
    there = jnp.arange(len(source), dtype=jnp.int32) < bounds[-1]
    displacements = jnp.where(there[:, None], positions[neighbours] - positions[centres], 0.0)
    # Behind the last pair a distance that is harmless in every function.
    far = jnp.array([2 * cutoff, 0.0, 0.0])
    arrays = StepArrays(
        vectors=jnp.where(there[:, None], -displacements, far).astype(dtype),
        senders=jnp.where(there, listed.row_index[senders], 0),
        sender_species=jnp.where(there, listed.species[senders], 0),
        bounds=bounds,
        chunk_species=listed.chunk_species,
        atoms_in_chunk=listed.atoms_in_chunk,
        energy_mask=listed.energy_mask,
        n_chunks=listed.n_chunks,
    )
    return arrays, SelectedPairs(bounds[-1], centres, senders, displacements), findings


def _within(
    listed: ListArrays, positions: jax.Array, cutoff: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the listed pairs within the cutoff in their order, and the findings about them.

    Returns:
        int32 [pair rows], which listed pair stands in each row, 0 in the padding; int32 [slots +
        1], the bounds of each slot's; the findings.
    """
    index = jnp.arange(len(listed.centres), dtype=jnp.int32)
    x, y, z = (positions[listed.neighbours] - positions[listed.centres]).T
    squared = x * x + y * y + z * z
    near = (index < listed.bounds[-1]) & (squared < cutoff * cutoff)
    has_row = listed.rows >= 0
    taken = near & has_row & (listed.species[listed.rows] >= 0)
    before = jnp.cumsum(taken, dtype=jnp.int32) - taken
    places = jnp.where(taken, before, len(index))
    source = jnp.zeros_like(index).at[places].set(index, mode="drop", unique_indices=True)
    bounds = jnp.concatenate([before, before[-1:] + taken[-1]])[listed.bounds]
    findings = (
        jnp.sum(taken & (squared < listed.closest**2), dtype=jnp.int32),
        jnp.max(jnp.where(taken & (squared == 0.0), listed.centres, -1)),
        jnp.max(jnp.where(near & ~has_row, listed.neighbours, -1)),
    )
    return source, bounds, jnp.stack(findings)


def sum_pairs(
    pairs: SelectedPairs, gradient: jax.Array, n_rows: int
) -> tuple[jax.Array, jax.Array]:
    """Return the forces on rows [n_rows, 3], eV/Å, and the virial of all pairs [6], eV.

    Args:
        gradient: [pair rows, 3], dE/d vectors.
    """
    slopes = _slopes(pairs, gradient)
    forces = jnp.zeros((n_rows, 3)).at[pairs.centres].add(slopes).at[pairs.senders].add(-slopes)
    return forces, _virials(pairs, slopes).sum(axis=0)


def row_virials(pairs: SelectedPairs, gradient: jax.Array, *, n_rows: int) -> jax.Array:
    """Return the virials of rows [n_rows, 6], eV: half of each pair's to both of its rows."""
    halves = 0.5 * _virials(pairs, _slopes(pairs, gradient))
    return jnp.zeros((n_rows, 6)).at[pairs.centres].add(halves).at[pairs.senders].add(halves)


def _slopes(pairs: SelectedPairs, gradient: jax.Array) -> jax.Array:
    """Return dE/d displacements, float64 [pair rows, 3], 0 in the padding."""
    there = jnp.arange(len(gradient), dtype=jnp.int32) < pairs.n_pairs
    return jnp.where(there[:, None], -gradient.astype(jnp.float64), 0.0)


def _virials(pairs: SelectedPairs, slopes: jax.Array) -> jax.Array:
    """Return the virial of each pair, (r_receiver - r_sender) x force on the receiver; [n, 6]."""
    r = pairs.displacements
    return jnp.stack([-r[:, a] * slopes[:, b] for a, b in _XX_TO_YZ], axis=1)
