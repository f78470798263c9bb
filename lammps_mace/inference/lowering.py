"""Lowering: choose how each layer of a model is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lammps_mace.inference.layers import Layer
from lammps_mace.inference.plain import PlainLayer
from lammps_mace.modelfile import Model


class Lowered(NamedTuple):
    """A model as layers.

    Attributes:
        layers: in order.
        how: one line for people.
    """

    layers: Sequence[Layer]
    how: str


def lower(model: Model, plain: bool) -> Lowered:
    """Return the fastest layers that the model allows."""
    layers = [PlainLayer(model, i) for i in range(model.config.num_layers)]
    return Lowered(layers, "as the network is defined")
