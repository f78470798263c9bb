"""From LAMMPS's neighbour data to the graph: the arrays that the plugin fills in every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lammps_mace.engine.interface import DomainGraph
from lammps_mace.engine.listed_graph import ListedGraph

if TYPE_CHECKING:
    from lammps_mace._bridge import Step, StepList


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
        number=step.number,
    )


def graph_of_list(step: Step, given: StepList, closest: float) -> ListedGraph:
    """Return the graph of a step whose list is the device's; it lives as long as the step.

    Args:
        closest: Å, see :class:`lammps_mace.engine.listed_graph.ListedGraph`.
    """
    return ListedGraph(
        number=given.number,
        species=step.species,
        rows=given.rows,
        offsets=given.offsets,
        neighbours=given.neighbours,
        sent=given.sent,
        positions=given.positions,
        one_domain=step.one_domain,
        closest=closest,
        wants_virials=given.virials is not None,
    )
