"""What a simulation sets, checked against a network of mlip."""

from __future__ import annotations

from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.mlip.model import MlipModel
from lammps_mace.models.mlip.partial_charges import coulomb_cutoff


def head_count(config: MaceConfig, dataset_info: DatasetInfo) -> int:
    """Return how many heads can be selected: readouts or, with one readout, sets of E0."""
    maps = dataset_info.atomic_energies_map
    if not isinstance(maps, tuple):
        return config.num_readout_heads
    return len(maps) if config.num_readout_heads == 1 else min(config.num_readout_heads, len(maps))


def check_settings(model: MlipModel) -> None:
    """Check what a simulation sets against the network.

    Raises:
        ValueError: there is no such head or charge, or the two halves of the network disagree.
    """
    config, info, total_charge = model.config, model.dataset_info, model.total_charge
    count = head_count(config, info)
    if not 0 <= model.head < count:
        raise ValueError(f"head={model.head} must be 0 to {count - 1}")
    if model.total_spin is not None:
        raise ValueError(f"total_spin={model.total_spin}: models of mlip read none; leave it out")
    if model.write_charges and not config.predict_partial_charges:
        raise ValueError("write_charges: the network predicts none (predict_partial_charges)")
    known = info.total_charges
    if total_charge is not None and known and total_charge not in known:
        raise ValueError(
            f"total_charge={total_charge}: the model was trained for total charges {list(known)}"
        )
    if total_charge is None and (config.use_coulomb_term or model.write_charges):
        raise ValueError("total_charge is None: charges need the total charge of the system")
    coulomb_cutoff(config, info)
    if config.avg_r_min is not None:
        info.check_mean_distance("avg_r_min", config.avg_r_min)
