"""CoulombSum: energy and forces between the charges of one structure, in NumPy."""

from __future__ import annotations

import numpy as np

from lammps_mace.engine.charges import ChargeSettings
from lammps_mace.engine.interface import NoExchange
from lammps_mace.evaluation import Pairs
from lammps_mace.models.coulomb import damped


class CoulombSum(NoExchange):
    """What the engine asks about charges, in one domain.

    Args:
        settings: of the sum.
        pairs: within its cutoff.
        n_atoms: of the structure.

    Attributes:
        energies: [n_atoms], eV: of each pair half to each atom; 0 before there are charges.
        gradient: [n_pairs, 3], dE/d vectors at fixed charges, eV/Å.
    """

    def __init__(self, settings: ChargeSettings, pairs: Pairs, n_atoms: int) -> None:
        self.energies = np.zeros(n_atoms)
        self.gradient = np.zeros_like(pairs.vectors)
        self._settings, self._pairs = settings, pairs

    def charge(self, charges: np.ndarray) -> np.ndarray:
        """Take the charges [n_atoms] (e); return dE/dq at fixed positions, [n_atoms], V."""
        pairs, constant = self._pairs, self._settings.constant
        squared = np.einsum("pi,pi->p", pairs.vectors, pairs.vectors)
        inverse, slope = damped(squared, self._settings.damping_angstrom)
        from_senders = constant * charges[pairs.senders]
        potentials = np.bincount(pairs.receivers, from_senders * inverse, len(charges))
        # Each pair is there in both directions: half of its energy, each time.
        factors = 0.5 * charges[pairs.receivers] * from_senders * slope
        self.energies = 0.5 * charges * potentials
        self.gradient = factors[:, None] * pairs.vectors
        return potentials
