"""Facts about a model of mace-torch: its elements, heads, and sizes."""

from __future__ import annotations

from lammps_mace.models.blocks.irreps import parse_irrep_list
from lammps_mace.models.facts import ModelFacts
from lammps_mace.models.torch.model import TorchModel
from lammps_mace.models.torch.shapes import Shape
from lammps_mace.models.torch.shapes import parameter_shapes as shapes_of


def facts(model: TorchModel) -> ModelFacts:
    """Return the facts about a model."""
    config = model.config
    sent = [
        layer.sent_channels
        * sum(2 * ir[0] + 1 for ir in parse_irrep_list(layer.sent) if ir in config.source(index))
        for index, layer in enumerate(config.layers)
    ]
    return ModelFacts(
        elements=config.elements,
        known_elements=config.elements,
        cutoff_angstrom=config.cutoff_angstrom,
        closest_angstrom=0.0,  # its checkpoints do not tell
        n_layers=len(config.layers),
        heads=config.heads,
        avg_num_neighbors=config.layers[0].avg_num_neighbors,
        message_width=max(layer.sent_channels for layer in config.layers)
        * (config.max_degree + 1) ** 2,
        exchanged=tuple(sent[1:]),
    )


def parameter_shapes(model: TorchModel) -> dict[str, Shape]:
    """Return the shape of every array, its name's levels joined by '#'."""
    return shapes_of(model.config)
