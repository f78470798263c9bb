"""LayerProgram: what an optimized layer computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import e3nn_jax as e3nn
import jax

from lammps_mace.lowering.contraction import ContractionChain
from lammps_mace.lowering.edge_sums import EdgeSums
from lammps_mace.lowering.messages import MessageProgram
from lammps_mace.models.blocks.linear import Blocks


@dataclass(frozen=True)
class Channels:
    """Widths of what a layer makes.

    Attributes:
        mixed: of the mixed sums, per irrep.
        skip, sent: of the features between this layer and the next; 0 after the last.
    """

    mixed: tuple[int, ...]
    skip: int = 0
    sent: int = 0


@dataclass(frozen=True, eq=False)
class LayerProgram:
    """What an optimized layer computes; all numbers are in the weights that it is given.

    Attributes:
        edges: the sums over neighbours.
        knots: of the splines of the weights, or of their functions; None without.
        messages: operations between the mixed sums and the contraction.
        contraction: of the messages.
        target: irreps that leave the layer, multiplicity 1 each.
        next_target: irreps that leave the next layer; None after the last.
        next_sent: irreps that atoms send in the next layer; None after the last.
        channels: of the layer's arrays.
        readout: function of its parameters and the new features, by irrep.
        bound: soft bound of the features, or None.
        merged: the weights ``send`` include ``product``.
        backend: of the kernels, "cpu", "gpu" or "xla".
    """

    edges: EdgeSums
    knots: int | None
    messages: MessageProgram
    contraction: ContractionChain
    target: e3nn.Irreps
    next_target: e3nn.Irreps | None
    next_sent: e3nn.Irreps | None
    channels: Channels
    readout: Callable[[Any, Blocks], jax.Array]
    bound: float | None
    merged: bool
    backend: str
