"""Chunk: the atoms that a layer computes at one time, and their pairs."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.kernels import serialize_after


class Chunk(NamedTuple):
    """A view of a step's arrays: one chunk of slots and the pairs that they receive.

    Attributes:
        first_slot, first_pair: where the chunk begins.
        species: of all its atoms.
        n_atoms: atoms of the chunk; they fill its first slots, the others are empty.
        starts, ends: int32 [chunk_atoms], the pairs of each slot.
        energy_mask: bool [chunk_atoms], see :class:`StepArrays`.
        n_pairs: rows that :meth:`pairs` returns, at least as many as the chunk has; not traced.
    """

    first_slot: jax.Array
    first_pair: jax.Array
    species: jax.Array
    n_atoms: jax.Array
    starts: jax.Array
    ends: jax.Array
    energy_mask: jax.Array
    n_pairs: int

    @property
    def n_slots(self) -> int:
        """Slots of the chunk."""
        return self.starts.shape[0]

    def atoms(self, array: jax.Array) -> jax.Array:
        """Return the chunk's rows of an array with one row per slot (and ghost)."""
        return jax.lax.dynamic_slice_in_dim(array, self.first_slot, self.n_slots)

    def later(self) -> Chunk:
        """Return the same chunk; what it reads is read after what this one reads.

        See :func:`lammps_mace.kernels.serialize_after`.
        """
        return self._replace(first_slot=serialize_after(self.first_slot))

    def put_atoms(self, array: jax.Array, rows: jax.Array) -> jax.Array:
        """Return the array with the chunk's rows replaced."""
        return jax.lax.dynamic_update_slice_in_dim(array, rows, self.first_slot, 0)

    def pairs(self, array: jax.Array) -> jax.Array:
        """Return ``n_pairs`` rows of an array with one row per pair, the chunk's first.

        The rows behind the chunk's belong to other chunks, see :meth:`pair_mask`.
        """
        return jax.lax.dynamic_slice_in_dim(array, self.first_pair, self.n_pairs)

    def add_pairs(self, array: jax.Array, rows: jax.Array) -> jax.Array:
        """Return the array with ``rows`` added; rows beyond the chunk's pairs must be zero."""
        total = self.pairs(array) + rows
        return jax.lax.dynamic_update_slice_in_dim(array, total, self.first_pair, 0)

    def pair_mask(self) -> jax.Array:
        """Return which rows of :meth:`pairs` are the chunk's, bool [n_pairs]."""
        return self.first_pair + jnp.arange(self.n_pairs, dtype=jnp.int32) < self.ends[-1]

    def receivers(self) -> jax.Array:
        """Return the slot of the chunk that receives each pair, int32 [n_pairs]."""
        counts = self.ends - self.starts
        return jnp.repeat(
            jnp.arange(self.n_slots, dtype=jnp.int32), counts, total_repeat_length=self.n_pairs
        )


def chunk_at(arrays: StepArrays, k: jax.Array, chunk_atoms: int, chunk_pairs: int) -> Chunk:
    """Return chunk ``k`` of a step."""
    slot = k * chunk_atoms

    def rows(array: jax.Array, first: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(array, first, chunk_atoms)

    starts, ends = rows(arrays.bounds, slot), rows(arrays.bounds, slot + 1)
    chunk = Chunk(
        slot, starts[0], arrays.chunk_species[k], arrays.atoms_in_chunk[k], starts, ends,
        rows(arrays.energy_mask, slot), chunk_pairs,
    )  # fmt: skip
    return chunk.later()
