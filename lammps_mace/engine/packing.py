"""Packing: the atoms and pairs of one step as the engine reads them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from weakref import WeakValueDictionary

import jax
import numpy as np

from lammps_mace.engine.capacity import Capacity, ChunkRule
from lammps_mace.engine.device_pairs import DevicePairs
from lammps_mace.engine.host_pairs import HostPairs
from lammps_mace.engine.interface import DomainGraph
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.engine.step_layout import PackedPairs, StepLayout, lay_out


@dataclass(frozen=True, eq=False)
class Packing:
    """Atoms and pairs of a step in the engine's order.

    Attributes:
        layout: where they stand.
        pairs: the pairs there.
        arrays: what the jitted functions read.
    """

    layout: StepLayout[DomainGraph]
    pairs: PackedPairs
    arrays: StepArrays


# Of the steps that engines have last run: what one has packed serves all that see the same.
_PACKINGS: WeakValueDictionary[Hashable, Packing] = WeakValueDictionary()


class Packer:
    """Packs one step after the other of an engine.

    Args:
        dtype: of the vectors.
        cutoff: Å.
        rule: chooses the size of chunks.
        on_cpu: arrays on the host are where the programs run.
    """

    def __init__(self, dtype: np.dtype, cutoff: float, rule: ChunkRule, on_cpu: bool) -> None:
        self._rule, self._on_cpu = rule, on_cpu
        self._dtype, self._cutoff = dtype, cutoff
        self._kind = dtype, cutoff, rule, on_cpu
        self._last: Packing | None = None  # its own, or of another engine
        self._memory: PackedPairs | None = None  # its own

    @property
    def capacity(self) -> Capacity:
        """Sizes of the padded arrays."""
        return self._last.layout.capacity if self._last else Capacity()

    def pack(self, graph: DomainGraph) -> Packing:
        """Return the packing of a step; that of another engine, if it has packed this graph."""
        key = graph.number, *self._kind
        packing = None if graph.number is None else _PACKINGS.get(key)
        if packing is None or not packing.layout.capacity.extends(self.capacity):
            packing = self._packed(graph)
            if graph.number is not None:
                _PACKINGS[key] = packing
        self._last = packing
        return packing

    def _packed(self, graph: DomainGraph) -> Packing:
        last = self._last.layout.atoms if self._last else None
        layout = lay_out(graph, self.capacity, self._rule, last)
        kind = DevicePairs if graph.on_gpu else HostPairs
        pairs = self._memory = kind(layout, self._dtype, self._cutoff, self._memory)
        arrays = layout.arrays(pairs)
        if not self._on_cpu:
            arrays = jax.device_put(arrays)  # once for all functions
        return Packing(layout, pairs, arrays)
