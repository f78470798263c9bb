"""The sums over neighbours of a layer as the kernels take them, and the maps of these sums."""

from __future__ import annotations

from functools import reduce

import e3nn_jax as e3nn
import numpy as np

from lammps_mace.kernels import EdgePath, EdgeProgram
from lammps_mace.lowering.contraction import reached_irreps
from lammps_mace.models.description import LayerDescription


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


def mix_tables(layer: LayerDescription) -> list[np.ndarray]:
    """Return the map of the sums of each target, [1 or n_species, paths * channels, channels out].

    Maps that follow each other are multiplied to one matrix.
    """
    return [
        reduce(np.matmul, (linear[str(irrep)] for linear in layer.mix))
        for irrep in reached_irreps(layer)
    ]
