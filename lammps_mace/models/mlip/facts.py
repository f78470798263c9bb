"""What may be asked of a model of mlip."""

from __future__ import annotations

from lammps_mace.models.facts import ModelFacts
from lammps_mace.models.mlip.model import MlipModel
from lammps_mace.models.mlip.settings import head_count
from lammps_mace.models.mlip.shapes import Shape
from lammps_mace.models.mlip.shapes import parameter_shapes as shapes_of


def facts(model: MlipModel) -> ModelFacts:
    """Return what a model is for."""
    config, info = model.config, model.dataset_info
    names = info.dataset_name if isinstance(info.dataset_name, tuple) else ()
    count = head_count(config, info)
    width = config.num_channels * (config.node_symmetry + 1) ** 2
    return ModelFacts(
        elements=info.elements,
        known_elements=info.known_elements(model.head),
        cutoff_angstrom=info.graph_cutoff_angstrom,
        closest_angstrom=0.5 * (config.avg_r_min or info.avg_r_min_angstrom or 0.0),
        n_layers=config.num_layers,
        heads=(*names, *[""] * count)[:count],
        avg_num_neighbors=config.avg_num_neighbors or info.avg_num_neighbors,
        message_width=config.num_channels * (config.l_max + 1) ** 2,
        exchanged=(width,) * (config.num_layers - 1),
    )


def parameter_shapes(model: MlipModel) -> dict[str, Shape]:
    """Return the shape of every parameter, its name's levels joined by '#'.

    Raises:
        ValueError: the two halves of the network do not fit each other.
    """
    return shapes_of(model.config, model.dataset_info)
