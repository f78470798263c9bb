"""Makes a model of a checkpoint of mace-torch, with the head, charge and spin of a simulation."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from lammps_mace.convert.options import Converted, Options
from lammps_mace.convert.torch.checkpoint import TorchCheckpoint, read_torch_checkpoint
from lammps_mace.convert.torch.reader import read_list, read_records
from lammps_mace.errors import ConvertError, UnusableFileError
from lammps_mace.modelfile.weights import checked_weights
from lammps_mace.models.model import unflatten
from lammps_mace.models.torch.config import EmbeddingConfig, TorchMaceConfig
from lammps_mace.models.torch.model import TorchModel
from lammps_mace.models.torch.shapes import parameter_shapes

_PRETRAINED = "pt_head"  # of fine-tuned models: the head of the foundation model
_DEFAULTS = {"total_charge": 0, "total_spin": 1}
_OPTIONS = {"total_charge": "--total-charge", "total_spin": "--total-spin"}
_ENERGIES = ("atomic_energies", "scale", "shift")  # may be thousands of eV: never rounded


def torch_model(path: str | os.PathLike[str], options: Options) -> Converted:
    """Return a checkpoint of mace-torch as a model.

    Raises:
        ConvertError: it cannot be converted, or an option does not fit it.
    """
    return _converted(read_torch_checkpoint(read_records(path), str(path)), path, options)


def torch_models(path: str | os.PathLike[str], options: Options) -> list[Converted]:
    """Return the models of a list that torch.save wrote, see :func:`torch_model`."""
    found = []
    for number, record in enumerate(read_list(path)):
        checkpoint = read_torch_checkpoint(record, f"{path}: number {number}")
        found.append(_converted(checkpoint, f"{path}: number {number}", options))
    return found


def _converted(
    checkpoint: TorchCheckpoint, path: str | os.PathLike[str], options: Options
) -> Converted:
    config = checkpoint.config
    head, *notes = choose_head(config.heads, options.head)
    if options.write_charges:
        raise ConvertError("--write-charges: the model predicts no charges; leave the option out")
    charge, charge_note = _choose(config, "total_charge", options.total_charge)
    spin, spin_note = _choose(config, "total_spin", options.total_spin)
    model = TorchModel(
        config, None, unflatten(_weights(checkpoint, options)), dtype=options.dtype,
        head=config.heads.index(head), total_charge=charge, total_spin=spin,
        exact_radial=options.exact_radial, origin=f"{Path(path).name} of mace-torch",
    )  # fmt: skip
    notes += filter(None, (charge_note, spin_note))
    return Converted(model, _summary(checkpoint, path), (*checkpoint.notes, *notes))


def choose_head(heads: tuple[str, ...], wanted: str | None) -> tuple[str, ...]:
    """Return the name of a head given by name or index, and perhaps a note.

    Raises:
        ConvertError: no such head, or several and none wanted; the message lists them.
    """
    listed = ", ".join(f"{i} ({name})" for i, name in enumerate(heads))
    if wanted in heads:
        return (wanted,)
    if wanted is not None:
        if wanted.isdecimal() and len(wanted) <= 3 and int(wanted) < len(heads):
            return (heads[int(wanted)],)
        raise ConvertError(f"--head {wanted!r}: there is no such head; the model has {listed}")
    if len(heads) == 1:
        return (heads[0],)
    others = [name for name in heads if name != _PRETRAINED]
    if len(others) == 1:
        return others[0], f"head {others[0]!r} was chosen, beside {_PRETRAINED}; --head selects"
    raise ConvertError(f"the model has several heads; choose one with --head: {listed}")


def _choose(config: TorchMaceConfig, quantity: str, wanted: int | None) -> tuple[int | None, str]:
    """Return total charge or spin, None where the model does not depend on it, and a note."""
    found = [one for one in config.embeddings if one.quantity == quantity]
    option = _OPTIONS[quantity]
    if not found:
        if wanted is not None:
            raise ConvertError(
                f"{option} {wanted}: this model does not depend on it; leave the option out"
            )
        return None, ""
    lowest, highest = _range(found[0])
    value = _DEFAULTS[quantity] if wanted is None else wanted
    if not lowest <= value <= highest:
        raise ConvertError(f"{option} {value}: the model knows {lowest} to {highest}")
    if wanted is not None:
        return value, ""
    name = quantity.replace("_", " ")
    return value, f"{name} {value}; the model knows {lowest} to {highest} ({option})"


def _range(embedding: EmbeddingConfig) -> tuple[int, int]:
    return -embedding.offset, embedding.classes - embedding.offset - 1


def _weights(checkpoint: TorchCheckpoint, options: Options) -> dict[str, np.ndarray]:
    try:
        params = checked_weights(
            checkpoint.params, parameter_shapes(checkpoint.config), options.dtype
        )
    except UnusableFileError as error:
        raise ConvertError(str(error)) from None
    if options.dtype == "float64":
        return params
    return {
        name: array if name in _ENERGIES else array.astype(np.float32)
        for name, array in params.items()
    }


def _summary(checkpoint: TorchCheckpoint, path: str | os.PathLike[str]) -> tuple[str, ...]:
    config = checkpoint.config
    count = sum(array.size for array in checkpoint.params.values())
    kinds = dict.fromkeys(layer.interaction.value for layer in config.layers)
    return (
        f"read {path}: MACE of mace-torch, {len(config.layers)} layers ({', '.join(kinds)}), "
        f"{config.channels} channels, {count:,} numbers, {checkpoint.dtype}",
        f"elements {' '.join(config.elements)}, cutoff {config.cutoff_angstrom:g} Å",
    )
