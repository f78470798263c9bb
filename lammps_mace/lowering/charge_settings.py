"""How LAMMPS uses the charges of a model; imports no JAX, for the plugin asks before JAX starts."""

from __future__ import annotations

from lammps_mace.engine.charges import ChargeSettings
from lammps_mace.models import families
from lammps_mace.models.constants import COULOMB_CONSTANT, DAMPING_CUTOFF
from lammps_mace.models.model import Model
from lammps_mace.models.partial_charges import PartialCharges


def charge_settings(model: Model) -> ChargeSettings | None:
    """Return how LAMMPS uses the charges of a model, None if it does not.

    Raises:
        ValueError: the Coulomb sum has no cutoff, or the model no total charge.
    """
    return settings_of(families.partial_charges(model))


def settings_of(charges: PartialCharges | None) -> ChargeSettings | None:
    """Return how LAMMPS uses these charges, None if it does not.

    Raises:
        ValueError: they have no total charge.
    """
    if charges is None or not (charges.write or charges.coulomb_cutoff):
        return None
    if charges.total is None:
        raise ValueError("predict_partial_charges: the model file has no total charge")
    return ChargeSettings(
        total=charges.total,
        write=charges.write,
        cutoff_angstrom=charges.coulomb_cutoff or 0.0,
        constant=COULOMB_CONSTANT,
        damping_angstrom=DAMPING_CUTOFF,
    )
