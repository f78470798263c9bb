"""From LAMMPS's neighbour data to the graph: the arrays that the plugin fills in every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lammps_mace.engine.interface import DomainGraph

if TYPE_CHECKING:
    from lammps_mace._bridge import Step


def graph_of_step(step: Step) -> DomainGraph:
    """Return the graph of this rank's atoms; it reads LAMMPS's memory and lives as long as a step.

    LAMMPS's centre of a pair receives: its x_j - x_i is r_sender - r_receiver.
    """
    return DomainGraph(
        species=step.species,
        offsets=step.offsets,
        senders=step.senders,
        displacements=np.asarray(step.vectors),
        one_domain=step.one_domain,
        positions=step.positions,
    )
