"""DevicePairs: pairs that LAMMPS lists on a GPU, sorted there, and their gradients back."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.engine.atom_layout import filled
from lammps_mace.engine.device_arrays import padded_row_index, to_cupy, to_jax
from lammps_mace.engine.step_layout import StepLayout


class DevicePairs:
    """Pairs in arrays on a GPU: CuPy's are those of LAMMPS, JAX's those of the engine.

    Args:
        layout, dtype, cutoff: as of :class:`lammps_mace.engine.host_pairs.HostPairs`.
        last: has no meaning here: each step gets new memory.
    """

    def __init__(
        self, layout: StepLayout, dtype: np.dtype, cutoff: float, last: Any = None
    ) -> None:
        graph, capacity = layout.graph, layout.capacity
        n_rows, self._n_pairs = capacity.pair_rows, graph.n_pairs
        self._count = layout.n_pairs  # the others come after them
        self.vectors, self.senders, self.sender_species, self._order = sort_pairs(
            *(to_jax(x, n_rows) for x in (graph.displacements, graph.receivers, graph.senders)),
            padded_row_index(layout), filled(capacity.atoms, graph.species, -1),
            self._n_pairs, self._count, 2 * cutoff, dtype=dtype,
        )  # fmt: skip

    def unpack_gradient(self, gradient: jax.Array, out: Any = None) -> Any:
        """Return dE/d displacements as LAMMPS lists the pairs, float64 [n_pairs, 3].

        Args:
            gradient: dE/d vectors.
            out: has no meaning here: the result is made on the GPU.
        """
        return to_cupy(unsort_gradient(gradient, self._order, self._count))[: self._n_pairs]


@partial(jax.jit, static_argnames="dtype")
def sort_pairs(
    displacements: jax.Array, receivers: jax.Array, senders: jax.Array, row_index: jax.Array,
    species: jax.Array, n_pairs: int, count: int, far: float, *, dtype: np.dtype,
) -> tuple[jax.Array, ...]:  # fmt: skip
    """Return vectors, senders, sender species and the order of pairs sorted by receiver.

    Args:
        row_index, species: of all own atoms and ghosts.
        n_pairs: pairs, the rest of the rows is padding.
        count: pairs whose receiver is part of the model.
        far: length of the vectors behind the last pair.
    """
    index = jnp.arange(len(receivers), dtype=jnp.int32)
    last = jnp.iinfo(jnp.int32).max
    # Rows of ghosts, and of own atoms that are not part of the model, follow all slots.
    keys = jnp.where(index < n_pairs, row_index[receivers], last)
    order = jnp.argsort(keys).astype(jnp.int32)
    senders = senders[order]
    padding = jnp.array([far, 0.0, 0.0])  # harmless in every function of the distance
    there = index < count
    return (
        # vector = r_receiver - r_sender = -displacement
        jnp.where(there[:, None], -displacements[order], padding).astype(dtype),
        jnp.where(there, row_index[senders], 0),
        jnp.where(there, species[senders], 0),
        order,
    )


@jax.jit
def unsort_gradient(gradient: jax.Array, order: jax.Array, count: int) -> jax.Array:
    """Return dE/d displacements in LAMMPS's order of dE/d vectors in the engine's."""
    there = jnp.arange(len(order)) < count
    values = jnp.where(there[:, None], -gradient.astype(jnp.float64), 0.0)
    return jnp.zeros_like(values).at[order].set(values, unique_indices=True)
