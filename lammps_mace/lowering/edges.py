"""The sums over neighbours of a layer as the kernels take them, and the maps of these sums."""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import e3nn_jax as e3nn
import numpy as np

from lammps_mace.kernels import EdgePath, EdgeProgram
from lammps_mace.lowering.contraction import reached_irreps
from lammps_mace.models.description import LayerDescription


class MixTables(NamedTuple):
    """Maps of the sums over neighbours, for each target a matrix [1 or n_species, n_in, n_out].

    Attributes:
        mix: of the sums.
        copies: of what comes then, to its copies; empty where nothing is left to be done.
    """

    mix: list[np.ndarray]
    copies: list[np.ndarray]


def edge_program(layer: LayerDescription, cutoff: float) -> EdgeProgram:
    """Return the edge operation of a layer."""
    sources, targets = [ir for _, ir in sent_irreps(layer)], reached_irreps(layer)
    n_weights = layer.radial.matrix.shape[1]
    return EdgeProgram(
        source_degrees=tuple(ir.l for ir in sources),
        target_degrees=tuple(ir.l for ir in targets),
        paths=tuple(
            EdgePath(sources.index(p.source), p.degree, targets.index(p.target), p.coefficients)
            for p in layer.paths
        ),
        channels=n_weights // len(layer.paths),
        cutoff=cutoff,
    )


def sent_irreps(layer: LayerDescription) -> e3nn.Irreps:
    """Return the irreps of what atoms send in a layer, in their order."""
    return layer.source if layer.sent is None else layer.sent


def mix_tables(layer: LayerDescription) -> MixTables:
    """Return the maps of the sums of each target; maps that follow each other are one matrix."""
    irreps = [str(irrep) for irrep in reached_irreps(layer)]
    apart = layer.copies > 1 and layer.message_gate is None and len(layer.mix) > 1
    first, last = (layer.mix[:-1], layer.mix[-1]) if apart else (layer.mix, {})
    mix = [reduce(np.matmul, (linear[irrep] for linear in first)) for irrep in irreps]
    return MixTables(mix, [last[irrep] for irrep in irreps] if apart else [])


def joined(mix: list[np.ndarray], copies: list[np.ndarray]) -> MixTables:
    """Return these maps, multiplied to one for each target where that is less work."""
    if not copies:
        return MixTables(mix, copies)
    together = [first @ last for first, last in zip(mix, copies, strict=True)]
    less = _work(together) < _work(mix) + _work(copies)
    return MixTables(together, []) if less else MixTables(mix, copies)


def _work(tables: list[np.ndarray]) -> int:
    return sum(table.shape[1] * table.shape[2] for table in tables)
