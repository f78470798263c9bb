"""From the mixed sums over neighbours to the messages of a layer: density, and the message gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp

from lammps_mace.engine.chunk import Chunk
from lammps_mace.kernels import Matrices, linear
from lammps_mace.lowering.contraction import Rows
from lammps_mace.lowering.density import DensityProgram
from lammps_mace.models.blocks.linear import Blocks, split
from lammps_mace.models.description import MessageGate


@dataclass(frozen=True, eq=False)
class MessageProgram:
    """Operations between the mixed sums and the contraction.

    Attributes:
        irreps: of the messages, in the order of their rows.
        sent: irreps of what atoms send.
        density, gate: None where a layer has none.
        backend: of the kernels.
        is_copied: whether a map makes the copies of the messages, see :class:`LayerDescription`.
    """

    irreps: tuple[e3nn.Irrep, ...]
    sent: e3nn.Irreps
    density: DensityProgram | None
    gate: MessageGate | None
    backend: str
    is_copied: bool = False

    @property
    def is_identity(self) -> bool:
        """Whether the mixed sums are the messages."""
        return self.density is None and self.gate is None and not self.is_copied

    def messages(
        self, weights: Any, chunk: Chunk, mixed: Rows, divisors: jax.Array | None,
        own: jax.Array | None,
    ) -> Rows:  # fmt: skip
        """Return the messages of a chunk's atoms; differentiable in the last three.

        Args:
            weights: of the layer; ``own``, ``after`` and ``copies`` are read.
            mixed: the sums over neighbours after their map.
            divisors: [n], where there is a density.
            own: [n, dim, channels], what the atoms themselves send; None in the first layer, where
                the weights hold its map for each species.
        """
        if divisors is not None:
            mixed = tuple(rows / divisors[:, None, None] for rows in mixed)
        if self.gate is None:
            return self._linear(mixed, weights["copies"], chunk) if self.is_copied else mixed
        blocks = dict(zip(self.irreps, mixed, strict=True))
        if self.gate.own is not None:
            added = self._own(weights["own"], chunk, own)
            blocks = {ir: x + added[ir] if ir in added else x for ir, x in blocks.items()}
        passed = through_gate(self.gate, blocks)
        maps = [weights["after"][str(irrep)] for irrep in self.irreps]
        return self._linear([passed[irrep] for irrep in self.irreps], maps, chunk)

    def _own(self, maps: Any, chunk: Chunk, own: jax.Array | None) -> Blocks:
        """Return what an atom's own features add to its sums."""
        if own is None:
            rows = {irrep: table[chunk.species] for irrep, table in maps.items()}
            shapes = {irrep: (chunk.n_slots, *x.shape) for irrep, x in rows.items()}
            return {
                e3nn.Irrep(irrep): jnp.broadcast_to(x, shapes[irrep]) for irrep, x in rows.items()
            }
        sent = split(own, self.sent)
        irreps = [irrep for irrep in sent if str(irrep) in maps]
        chosen = [maps[str(irrep)] for irrep in irreps]
        mapped = self._linear([sent[irrep] for irrep in irreps], chosen, chunk)
        return dict(zip(irreps, mapped, strict=True))

    def _linear(
        self, rows: Sequence[jax.Array], matrices: Sequence[Matrices], chunk: Chunk
    ) -> Rows:
        return linear(rows, matrices, chunk.species, chunk.n_atoms, backend=self.backend)


def through_gate(gate: MessageGate, blocks: Blocks) -> Blocks:
    """Return irrep -> [n, 2l+1, channels] after the gate; see :class:`MessageGate`."""
    [scalar] = [irrep for irrep in blocks if irrep == "0e"]
    scalars, gates = jnp.split(blocks[scalar], [gate.n_scalars], axis=2)
    passed = {scalar: gate.scalars(scalars)}
    gates, start = gate.gates(gates), 0
    for irrep, block in blocks.items():
        if irrep != scalar:
            end = start + block.shape[2]
            passed[irrep] = block * gates[:, :, start:end]
            start = end
    return passed
