"""Structures as LAMMPS lists them for a device: atoms, ghosts of one domain, a list with skin."""

from __future__ import annotations

import numpy as np
from small import CUTOFF, Structure, find_pairs

from lammps_mace.engine.listed_graph import ListedGraph

SKIN = 1.0


def listed_graph(structure: Structure, skin: float = SKIN, number: int = 1, **given) -> ListedGraph:
    """Return the structure with a list of all pairs within cutoff and skin; every image is a ghost.

    Args:
        given: other fields of the graph, or another value.
    """
    n = len(structure.species)
    centres, senders, vectors = find_pairs(structure.positions, structure.cell, CUTOFF + skin)
    places = structure.positions[centres] + vectors
    images, ghost = np.unique(
        np.column_stack([senders, np.round(places, 6)]), axis=0, return_inverse=True
    )
    first = np.unique(ghost, return_index=True)[1]
    owners = images[:, 0].astype(np.int32)
    fields = {
        "number": number,
        "species": structure.species,
        "rows": np.concatenate([np.arange(n, dtype=np.int32), owners]),
        "offsets": np.searchsorted(centres, np.arange(n + 1)),
        "neighbours": (n + ghost.ravel()).astype(np.int32),
        "sent": np.empty(0, np.int32),
        "positions": np.concatenate([structure.positions, places[first]]),
        "one_domain": True,
    }
    return ListedGraph(**{**fields, **given})


def summed(structure: Structure, pair_gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return forces [n, 3] and virials of atoms [n, 6] from dE/d(r_j - r_i)."""
    n, r = len(structure.species), structure.vectors
    forces, virials = np.zeros((n, 3)), np.zeros((n, 6))
    np.add.at(forces, structure.centres, pair_gradient)
    np.add.at(forces, structure.neighbours, -pair_gradient)
    a, b = [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]
    half = -0.5 * r[:, a] * pair_gradient[:, b]
    np.add.at(virials, structure.centres, half)
    np.add.at(virials, structure.neighbours, half)
    return forces, virials
