"""Convert checkpoints of the mlip library (versions 0.1 and 0.2) to model files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from lammps_mace.convert.archive import Archive, read_archive
from lammps_mace.convert.checkpoint import Checkpoint, refuse_other_architectures
from lammps_mace.convert.kinds import kind_of
from lammps_mace.convert.mlip_0_1 import is_v1, read_v1
from lammps_mace.convert.mlip_0_2 import read_v2
from lammps_mace.convert.selection import choose_charge, choose_head
from lammps_mace.convert.torch.reader import read_records
from lammps_mace.errors import ConvertError, UnusableFileError
from lammps_mace.modelfile import Dtype, Model, save_model, unflatten
from lammps_mace.modelfile.weights import checked_weights
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.mlip.settings import check_settings
from lammps_mace.models.mlip.shapes import parameter_shapes

__all__ = ["Archive", "Checkpoint", "ConvertError", "convert", "read_archive", "read_checkpoint"]


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a zip of mlip; its weights are not yet compared with the network.

    Raises:
        ConvertError: it is not a MACE, is incomplete or damaged, or asks for what there is not.
    """
    archive = read_archive(path)
    refuse_other_architectures(archive.section("config"))
    return read_v1(archive) if is_v1(archive) else read_v2(archive)


def convert(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    dtype: Dtype = "float32",
    head: str | None = None,
    total_charge: int | None = None,
    write_charges: bool = False,
    exact_radial: bool = False,
) -> list[str]:
    """Convert a checkpoint of mlip to X.model, X.json and X.safetensors.

    Args:
        path: the zip.
        output: X.model.
        dtype: precision of the evaluation.
        head: readout head, by the name of its data set or by index; None means the first.
        total_charge: of the simulated system, e; None chooses the only or the neutral one.
        write_charges: let LAMMPS's atoms have the predicted charges.
        exact_radial: evaluate the radial network itself, never splines fitted to it.

    Returns:
        Lines that say what was done.

    Raises:
        ConvertError: the checkpoint cannot be converted; no file was written.
    """
    _check_output(Path(output))
    if kind_of(path) == "torch":
        model = read_records(path)
        raise ConvertError(
            f"{str(path)!r} holds a {model.kind} of mace-torch, which is not converted yet"
        )
    checkpoint = read_checkpoint(path)
    _check_coulomb(checkpoint)
    config, info = checkpoint.config, checkpoint.dataset_info
    index, head_note = choose_head(config, info, head)
    charge, charge_note = choose_charge(config, info, total_charge)
    if write_charges and not config.predict_partial_charges:
        raise ConvertError("--write-charges: the model predicts no charges; leave the option out")
    params = _checked_weights(checkpoint, dtype, charge)
    if dtype == "float32":
        params = {name: array.astype("float32") for name, array in params.items()}
    save_model(
        output, config, info, unflatten(params), dtype=dtype, head=index, total_charge=charge,
        write_charges=write_charges,
        exact_radial=exact_radial, origin=f"{Path(path).name} of {checkpoint.written_by}",
    )  # fmt: skip
    notes = [*checkpoint.notes, *filter(None, (head_note, charge_note))]
    return [*_summary(checkpoint, path), *(f"note: {note}" for note in notes), *_use(output, info)]


def _check_output(path: Path) -> None:
    if path.suffix != ".model":
        raise ConvertError(f"-o {str(path)!r} must end in '.model'")
    if not path.parent.is_dir():
        raise ConvertError(
            f"-o {str(path)!r}: there is no folder {str(path.parent)!r}; make it first"
        )


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


def _summary(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> list[str]:
    config, info = checkpoint.config, checkpoint.dataset_info
    count = sum(array.size for array in checkpoint.params.values())
    return [
        f"read {path}: MACE of {checkpoint.written_by}, {config.num_layers} layers, "
        f"{config.num_channels} channels, {count:,} parameters",
        f"elements {' '.join(info.elements)}, cutoff {info.graph_cutoff_angstrom:g} Å",
    ]


def _use(output: str | os.PathLike[str], info: DatasetInfo) -> list[str]:
    path = Path(output)
    return [
        f"wrote {path}, {path.with_suffix('.json').name}, {path.with_suffix('.safetensors').name}",
        f"in LAMMPS: pair_style mliap unified {path} 0",
        f"           pair_coeff * * {' '.join(info.elements)}",
    ]
