"""A network of mace-torch predicts no charges."""

from __future__ import annotations

from lammps_mace.models.torch.model import TorchModel


def partial_charges(model: TorchModel) -> None:
    """Return None: there are no charges."""
