"""NetworkEnergies: a whole network at once, for the plain evaluation of structures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from lammps_mace.graph import Graph


@dataclass(frozen=True, eq=False)
class NetworkEnergies:
    """The energies of atoms in a network, as its family defines it.

    Attributes:
        parameters: pytree of arrays.
        atomic_energies: [n_species], eV, float64: what is added to the results of ``function``.
        function: (parameters, graph) -> energies [n_nodes], eV, and charges [n_nodes], e, or None;
            traced by JAX.
    """

    parameters: Any
    atomic_energies: np.ndarray
    function: Callable[[Any, Graph], tuple[jax.Array, jax.Array | None]]
