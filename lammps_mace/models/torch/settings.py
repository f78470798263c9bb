"""Checks the settings of a simulation against a network of mace-torch."""

from __future__ import annotations

from lammps_mace.models.torch.model import TorchModel


def check_settings(model: TorchModel) -> None:
    """Check head, total charge and total spin.

    Raises:
        ValueError: there is no such head, charge or spin, or the network does not read it.
    """
    config = model.config
    if not 0 <= model.head < len(config.heads):
        raise ValueError(f"head={model.head} must be 0 to {len(config.heads) - 1}")
    if model.write_charges:
        raise ValueError("write_charges: models of mace-torch predict no charges")
    embedded = {one.quantity: one for one in config.embeddings}
    settings = {"total_charge": model.total_charge, "total_spin": model.total_spin}
    for name, value in settings.items():
        if name not in embedded:
            if value is not None:
                raise ValueError(f"{name}={value}: the network does not read it; leave it out")
            continue
        lowest = -embedded[name].offset
        highest = lowest + embedded[name].classes - 1
        if value is None:
            raise ValueError(f"{name} is None: the network reads it, {lowest} to {highest}")
        if not lowest <= value <= highest:
            raise ValueError(f"{name}={value} must be {lowest} to {highest}")
