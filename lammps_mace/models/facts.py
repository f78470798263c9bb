"""ModelFacts: what may be asked of a model of any family; without JAX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelFacts:
    """What a model is for.

    Attributes:
        elements: chemical symbols in species order.
        known_elements: those that its head has energies of, in that order.
        cutoff_angstrom: of the layers.
        closest_angstrom: half of the mean nearest distance in the training data: atoms that are
            closer are far from all of it; 0 where the model does not know.
        n_layers: message-passing layers.
        heads: what can be selected, by name; '' where the model has none.
        avg_num_neighbors: of an atom in the training data.
        message_width: numbers in the largest message of a neighbour.
        exchanged: numbers per atom that each layer but the first reads of its neighbours.
    """

    elements: tuple[str, ...]
    known_elements: tuple[str, ...]
    cutoff_angstrom: float
    closest_angstrom: float
    n_layers: int
    heads: tuple[str, ...]
    avg_num_neighbors: float
    message_width: int
    exchanged: tuple[int, ...]
