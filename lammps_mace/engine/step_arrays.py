"""StepArrays: the arrays of one step as the jitted functions read them."""

from __future__ import annotations

from typing import Any

import jax
from flax import struct


@struct.dataclass
class StepArrays:
    """One rank's atoms and pairs, padded to fixed sizes.

    Atoms stand in slots, sorted by species. A chunk is a row of slots of one species, filled up
    with empty slots. The rows of ghosts follow the slots.

    Attributes:
        vectors: [pair rows, 3], r_receiver - r_sender, Å: as in :class:`lammps_mace.graph.Edges`.
        senders: int32 [pair rows], row of each sender.
        sender_species: int32 [pair rows].
        bounds: int32 [slots + 1]; the pairs that slot i receives are bounds[i] to bounds[i + 1].
        chunk_species: int32 [chunks], species of all atoms of a chunk.
        atoms_in_chunk: int32 [chunks].
        energy_mask: bool [slots], atoms whose energy is part of this rank's energy.
        n_chunks: int32, chunks that hold atoms.
        of_pairs: what the layer at work has computed of all pairs, see Layer.of_pairs.
    """

    vectors: jax.Array
    senders: jax.Array
    sender_species: jax.Array
    bounds: jax.Array
    chunk_species: jax.Array
    atoms_in_chunk: jax.Array
    energy_mask: jax.Array
    n_chunks: jax.Array
    of_pairs: Any = None
