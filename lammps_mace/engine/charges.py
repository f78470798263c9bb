"""Charges across ranks: their sum is the total charge, and what that does to gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lammps_mace.engine.interface import ChargeExchange


class NonFiniteChargeError(ValueError):
    """The network predicted a charge that is not a number.

    Attributes:
        row: of the atom among this rank's own atoms.
    """

    def __init__(self, row: int) -> None:
        super().__init__(f"non-finite charge of own atom {row}")
        self.row = row


@dataclass(frozen=True)
class ChargeSettings:
    """What LAMMPS has to do with the charges that a model predicts.

    Attributes:
        total: sum of the charges of all atoms of the model, e.
        write: let LAMMPS's atoms have these charges.
        cutoff_angstrom: of the Coulomb sum; 0 when the energy has none.
        constant: eV Å / e^2.
        damping_angstrom: distance beyond which the Coulomb law is exact.
    """

    total: int
    write: bool
    cutoff_angstrom: float
    constant: float
    damping_angstrom: float


def constrain_charges(
    raw: np.ndarray, species: np.ndarray, settings: ChargeSettings, exchange: ChargeExchange
) -> tuple[np.ndarray, np.ndarray]:
    """Return the charges of own atoms and the gradient of the Coulomb energy; collective.

    With q_i = p_i - (sum_j p_j - Q) / n over the n atoms of the model on all ranks,
    dE/dp_i = dE/dq_i - (sum_j dE/dq_j) / n.

    Args:
        raw: [n_local], p, what the network says, e.
        species: int [n_local], -1 for atoms that are not part of the model.
        exchange: adds up over ranks, and knows the pairs of the Coulomb sum.

    Returns:
        q [n_local], e, and dE/dp [n_local], V; both 0 for atoms that are not part of the model.

    Raises:
        NonFiniteChargeError: on the rank that owns the atom.
    """
    part = species >= 0
    raw = np.where(part, raw, 0.0).astype(np.float64)
    if len(bad := np.flatnonzero(~np.isfinite(raw))):
        raise NonFiniteChargeError(int(bad[0]))
    total, count = exchange.sum(np.array([raw.sum(), part.sum()]))
    n = max(count, 1.0)  # nobody has an atom: nothing is shifted
    charges = np.where(part, raw - (total - settings.total) / n, 0.0)
    potentials = exchange.charge(charges)
    if not settings.cutoff_angstrom:
        return charges, np.zeros_like(charges)
    potentials = np.where(part, potentials, 0.0)
    [summed] = exchange.sum(np.array([potentials.sum()]))
    return charges, np.where(part, potentials - summed / n, 0.0)
