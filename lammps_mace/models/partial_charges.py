"""PartialCharges: what a model's charges are for; without JAX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PartialCharges:
    """The charges that a network predicts.

    Attributes:
        total: sum of all charges, e; None: the model file has none.
        write: let LAMMPS's atoms have these charges.
        coulomb_cutoff: of the Coulomb sum, Å; None: their Coulomb energy does not count.
    """

    total: int | None
    write: bool
    coulomb_cutoff: float | None
