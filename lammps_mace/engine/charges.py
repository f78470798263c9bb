"""Charges across ranks: their sum is the total charge, and what that does to gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lammps_mace.engine.interface import Exchange
from lammps_mace.modelfile import Model
from lammps_mace.models.constants import COULOMB_CONSTANT, DAMPING_CUTOFF


class NonFiniteChargeError(ValueError):
    """The network predicted a charge that is not a number.

    Attributes:
        row: of the atom among this rank's own atoms.
    """

    def __init__(self, row: int) -> None:
        super().__init__(f"non-finite charge of own atom {row}")
        self.row = row


@dataclass(frozen=True)
class ChargeUse:
    """What LAMMPS has to do with the charges of a model.

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
    constant: float = COULOMB_CONSTANT
    damping_angstrom: float = DAMPING_CUTOFF


def charge_use(model: Model) -> ChargeUse | None:
    """Return what a model's charges are for, None when nobody needs them.

    Raises:
        ValueError: the Coulomb sum has no cutoff, or the model no total charge.
    """
    config = model.config
    if not (config.use_coulomb_term or (config.predict_partial_charges and model.write_charges)):
        return None
    if model.total_charge is None:
        raise ValueError("predict_partial_charges: the model file has no total charge")
    if not config.use_coulomb_term:
        return ChargeUse(model.total_charge, model.write_charges, 0.0)
    cutoff = model.dataset_info.long_range_cutoff_angstrom
    if cutoff is None:
        raise ValueError(
            "use_coulomb_term: dataset_info.long_range_cutoff_angstrom is None; the Coulomb sum "
            "needs a cutoff"
        )
    return ChargeUse(model.total_charge, model.write_charges, cutoff)


def constrain_charges(
    raw: np.ndarray, species: np.ndarray, use: ChargeUse, exchange: Exchange
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
    charges = np.where(part, raw - (total - use.total) / n, 0.0)
    potentials = exchange.charge(charges)
    if not use.cutoff_angstrom:
        return charges, np.zeros_like(charges)
    potentials = np.where(part, potentials, 0.0)
    [summed] = exchange.sum(np.array([potentials.sum()]))
    return charges, np.where(part, potentials - summed / n, 0.0)
