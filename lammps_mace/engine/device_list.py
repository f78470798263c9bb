"""DeviceList: a neighbour list laid out in the engine's order, in arrays on the device."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from lammps_mace.engine.atom_layout import filled
from lammps_mace.engine.capacity import round_up
from lammps_mace.engine.listed_graph import ListedGraph
from lammps_mace.engine.step_layout import StepLayout
from lammps_mace.engine.transfers import LIST, Transfers

# Less than other sizes have: these arrays travel in every step, and so does their margin.
_MARGIN = 1.1


@struct.dataclass
class ListArrays:
    """A list as the jitted functions read it. Slots and chunks are those of :class:`StepArrays`.

    Attributes:
        centres: int32 [pair rows], own row that receives; pairs stand in the order of slots.
        neighbours: int32 [pair rows], atom that sends.
        rows: int32 [pair rows], row of the sender; -1: none.
        bounds: int32 [slots + 1]; slot i receives the listed pairs bounds[i] to bounds[i + 1].
        species, row_index: int32 [row sizes], of each row: its species, its row in the features.
        own_species, own_index: int32 [own sizes], the same of own rows.
        sent: int32 [sent sizes], rows in the features that other ranks need.
        closest: Å, see :class:`lammps_mace.engine.listed_graph.ListedGraph`.
        chunk_species, atoms_in_chunk, energy_mask, n_chunks: as in :class:`StepArrays`.
    """

    centres: jax.Array
    neighbours: jax.Array
    rows: jax.Array
    bounds: jax.Array
    species: jax.Array
    row_index: jax.Array
    own_species: jax.Array
    own_index: jax.Array
    sent: jax.Array
    closest: jax.Array
    chunk_species: jax.Array
    atoms_in_chunk: jax.Array
    energy_mask: jax.Array
    n_chunks: jax.Array


class ListSizes:
    """Sizes of the arrays that travel; they grow and never shrink, for each change compiles anew.

    Attributes:
        atoms, rows, own, sent: of positions, of results, of energies, of rows that are sent.
    """

    def __init__(self) -> None:
        self.atoms = self.rows = self.own = self.sent = 0

    def grow(self, graph: ListedGraph, n_sent: int) -> None:
        """Make room for a list."""
        self.atoms = _grown(self.atoms, len(graph.rows))
        self.rows = _grown(self.rows, graph.n_total)
        self.own = _grown(self.own, graph.n_local)
        self.sent = _grown(self.sent, n_sent)


def _grown(present: int, need: int) -> int:
    return present if 0 < need <= present else max(present, round_up(int(need * _MARGIN), 32))


class DeviceList:
    """A neighbour list on the device.

    Args:
        layout: of its atoms and listed pairs.
        sizes: of the arrays; they grow here.
        transfers: take the list up.

    Attributes:
        layout: as given.
        arrays: on the device.
        sent_index: int32 [n_total], place of each row in arrays of those that are exchanged.
    """

    def __init__(
        self, layout: StepLayout[ListedGraph], sizes: ListSizes, transfers: Transfers
    ) -> None:
        graph = layout.graph
        self.layout, self._number, self._species = layout, graph.number, graph.species.copy()
        sent = np.unique(graph.sent)  # some go to several ranks
        sizes.grow(graph, len(sent))
        self.sent_index = np.zeros(graph.n_total, np.int32)
        self.sent_index[sent] = np.arange(len(sent))
        n_ghosts = graph.n_total - graph.n_local
        self.sent_index[graph.n_local :] = sizes.sent + np.arange(n_ghosts)
        self.arrays = self._arrays(graph, sent, sizes, transfers)

    def holds(self, graph: ListedGraph) -> bool:
        """Whether this is the list of a graph."""
        return self._number == graph.number and np.array_equal(self._species, graph.species)

    def _arrays(
        self, graph: ListedGraph, sent: np.ndarray, sizes: ListSizes, transfers: Transfers
    ) -> ListArrays:
        atoms, capacity = self.layout.atoms, self.layout.capacity
        slot_rows, first = np.zeros((2, capacity.slots), np.int32)
        slot_rows[atoms.slots] = atoms.order
        first[atoms.slots] = graph.offsets[atoms.order]
        nowhere = capacity.rows
        own = atoms.row_index[: graph.n_local]
        given = transfers.up(
            (
                filled(capacity.pair_rows, graph.neighbours),
                filled(sizes.atoms, graph.rows, -1),
                (slot_rows, first, self.layout.pair_bounds),
                {
                    "species": filled(sizes.rows, graph.species, -1),
                    "row_index": filled(sizes.rows, atoms.row_index, nowhere),
                    "own_species": filled(sizes.own, graph.species[: graph.n_local], -1),
                    "own_index": filled(sizes.own, own, nowhere),
                    "sent": filled(sizes.sent, own[sent], nowhere),
                    "closest": np.float64(graph.closest),
                },
            ),
            LIST,
        )
        neighbours, rows, slots, known = given
        centres, neighbours, rows = lay_out_list(neighbours, rows, *slots)
        return ListArrays(
            centres, neighbours, rows, slots[2], **known, **atoms.constant_arrays
        )  # fmt: skip


@jax.jit
def lay_out_list(
    neighbours: jax.Array, rows: jax.Array, slot_rows: jax.Array, first: jax.Array,
    bounds: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:  # fmt: skip
    """Return centres, neighbours and their rows in the order of slots.

    Args:
        neighbours: int32 [pair rows], as LAMMPS lists them.
        rows: int32 [atom sizes], of each atom.
        slot_rows, first: int32 [slots], the own row in each slot and its first listed neighbour.
        bounds: as in :class:`ListArrays`.
    """
    n_slots, size = len(slot_rows), len(neighbours)
    slots = jnp.repeat(
        jnp.arange(n_slots, dtype=jnp.int32), jnp.diff(bounds), total_repeat_length=size
    )
    places = first[slots] + jnp.arange(size, dtype=jnp.int32) - bounds[slots]
    neighbours = neighbours.at[places].get(mode="clip")
    return slot_rows[slots], neighbours, rows[neighbours]
