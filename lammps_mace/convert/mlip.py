"""Checkpoints of the mlip library (versions 0.1 and 0.2) as models."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from lammps_mace.convert.archive import read_archive
from lammps_mace.convert.checkpoint import Checkpoint, refuse_other_architectures
from lammps_mace.convert.mlip_0_1 import is_v1, read_v1
from lammps_mace.convert.mlip_0_2 import read_v2
from lammps_mace.convert.options import Converted, Options
from lammps_mace.convert.selection import choose_charge, choose_head
from lammps_mace.errors import ConvertError, UnusableFileError
from lammps_mace.modelfile.weights import checked_weights
from lammps_mace.models.mlip.settings import check_settings
from lammps_mace.models.mlip.shapes import parameter_shapes
from lammps_mace.models.model import Dtype, Model, unflatten


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a zip of mlip; its weights are not yet compared with the network.

    Raises:
        ConvertError: it is not a MACE, is incomplete or damaged, or asks for what there is not.
    """
    archive = read_archive(path)
    refuse_other_architectures(archive.section("config"))
    return read_v1(archive) if is_v1(archive) else read_v2(archive)


def mlip_model(path: str | os.PathLike[str], options: Options) -> Converted:
    """Return a checkpoint of mlip as a model.

    Raises:
        ConvertError: it cannot be converted, or an option does not fit it.
    """
    checkpoint = read_checkpoint(path)
    _check_coulomb(checkpoint)
    config, info = checkpoint.config, checkpoint.dataset_info
    index, head_note = choose_head(config, info, options.head)
    charge, charge_note = choose_charge(config, info, options.total_charge)
    if options.total_spin is not None:
        raise ConvertError("--total-spin: models of mlip read no spin; leave the option out")
    if options.write_charges and not config.predict_partial_charges:
        raise ConvertError("--write-charges: the model predicts no charges; leave the option out")
    params = _checked_weights(checkpoint, options.dtype, charge)
    if options.dtype == "float32":
        params = {name: array.astype("float32") for name, array in params.items()}
    model = Model(
        config, info, unflatten(params), dtype=options.dtype, head=index, total_charge=charge,
        write_charges=options.write_charges, exact_radial=options.exact_radial,
        origin=f"{Path(path).name} of {checkpoint.written_by}",
    )  # fmt: skip
    notes = (*checkpoint.notes, *filter(None, (head_note, charge_note)))
    return Converted(model, _summary(checkpoint, path), notes)


def _checked_weights(
    checkpoint: Checkpoint, dtype: Dtype, total_charge: int | None
) -> dict[str, np.ndarray]:
    config, info = checkpoint.config, checkpoint.dataset_info
    try:
        check_settings(Model(config, info, {}, total_charge=total_charge))
        return checked_weights(checkpoint.params, parameter_shapes(config, info), dtype)
    except UnusableFileError as error:
        raise ConvertError(str(error)) from None
    except ValueError as error:
        raise ConvertError(f"config: {error}") from None


def _check_coulomb(checkpoint: Checkpoint) -> None:
    cutoff = checkpoint.dataset_info.long_range_cutoff_angstrom
    if checkpoint.config.use_coulomb_term and cutoff is None:
        raise ConvertError(
            "config.use_coulomb_term needs dataset_info.long_range_cutoff_angstrom, which is null"
        )


def _summary(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> tuple[str, ...]:
    config, info = checkpoint.config, checkpoint.dataset_info
    count = sum(array.size for array in checkpoint.params.values())
    return (
        f"read {path}: MACE of {checkpoint.written_by}, {config.num_layers} layers, "
        f"{config.num_channels} channels, {count:,} parameters",
        f"elements {' '.join(info.elements)}, cutoff {info.graph_cutoff_angstrom:g} Å",
    )
