"""What the charges of an mlip network are for; without JAX."""

from __future__ import annotations

from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.mlip.model import MlipModel
from lammps_mace.models.partial_charges import PartialCharges


def partial_charges(model: MlipModel) -> PartialCharges | None:
    """Return what a model's charges are for, None if it predicts none.

    Raises:
        ValueError: the Coulomb sum has no cutoff.
    """
    if not model.config.predict_partial_charges:
        return None
    cutoff = coulomb_cutoff(model.config, model.dataset_info)
    return PartialCharges(model.total_charge, model.write_charges, cutoff)


def coulomb_cutoff(config: MaceConfig, info: DatasetInfo) -> float | None:
    """Return the cutoff of the Coulomb sum in Å, None for a model without that term.

    Raises:
        ValueError: the sum has no cutoff.
    """
    if not config.use_coulomb_term:
        return None
    if info.long_range_cutoff_angstrom is None:
        raise ValueError(
            "use_coulomb_term: dataset_info.long_range_cutoff_angstrom is None; the Coulomb sum "
            "needs a cutoff"
        )
    return info.long_range_cutoff_angstrom
