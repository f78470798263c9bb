"""Refuses files without a model for lammps-mace: says what each is, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lammps_mace.convert.torch.globals import full_name, is_known, refusal
from lammps_mace.convert.torch.records import Record
from lammps_mace.errors import ConvertError
from lammps_mace.modelfile.validation import shortened

_MODELS = {"mace.modules.models.MACE", "mace.modules.models.ScaleShiftMACE"}
_DIPOLES = "predicts dipoles or polarizabilities, which no pair style of LAMMPS takes"
_RUN_IN_TORCH = "run it with the torch library"
_CLASSES = {
    "PolarMACE": "has long-range electrostatics (MACE-POLAR)",
    "MACELES": "has long-range electrostatics (latent Ewald summation)",
    "AtomicDipolesMACE": _DIPOLES,
    "AtomicDielectricMACE": _DIPOLES,
    "EnergyDipolesMACE": _DIPOLES,
    "RealAgnosticAttResidualInteractionBlock": "weighs its messages by attention",
    "BOTNet": "is BOTNet, the predecessor of MACE",
    "ScaleShiftBOTNet": "is BOTNet, the predecessor of MACE",
}
_ACCELERATED = {
    "cuequivariance": (
        "was converted for cuEquivariance, which orders its weights otherwise; convert it back "
        "with 'mace_cueq_to_e3nn' of mace-torch"
    ),
    "openequivariance": (
        "was converted for OpenEquivariance; convert it back with "
        "'python -m mace.cli.convert_oeq_e3nn' of mace-torch"
    ),
}  # fmt: skip
_EXPORT = "LAMMPS_MLIAP_MACE"
_EXPORTED = (
    "was exported for ML-IAP and its weights reordered, as mace_create_lammps_model does with "
    "cuEquivariance; convert the model that it was exported from, '*.model'"
)
_SAVE_MODEL = "in torch: torch.save(model, 'x.model')"
_LIST = "write one in torch, torch.save([a, b], 'x.model'),"


def check_names(names: list[str]) -> None:
    """Refuse a file by the names that its pickle asks for; nothing has been made of any.

    Raises:
        ConvertError: a name is that of a model that does not run here, or no MACE needs it.
    """
    names = [full_name(name) for name in names]
    for name in names:
        kind = name.rpartition(".")[2]
        if kind in _CLASSES and name.startswith("mace."):
            raise ConvertError(f"holds {kind}: it {_CLASSES[kind]}; {_RUN_IN_TORCH}")
    exported = any(name.endswith(f".{_EXPORT}") for name in names)
    for name in names:
        package = name.split(".")[0]
        for start, words in _ACCELERATED.items():
            if package.startswith(start):
                raise ConvertError(_EXPORTED if exported else words)
        if not is_known(name):
            raise ConvertError(refusal(name))


def model_of(found: Any) -> Record:
    """Return the model in what a pickle made.

    Raises:
        ConvertError: there is none, or one that does not run here.
    """
    if isinstance(found, Record) and found.kind == _EXPORT:
        found = _exported(found)
    if not isinstance(found, Record):
        raise ConvertError(_what(found))
    if found.class_name not in _MODELS:
        raise ConvertError(
            f"holds {shortened(found.class_name)}; lammps-mace runs the classes MACE and "
            "ScaleShiftMACE of mace-torch 0.3"
        )
    return found


def models_of(found: Any) -> list[Record]:
    """Return the models of a list that a pickle made.

    Raises:
        ConvertError: there is no list, or something else in it.
    """
    if isinstance(found, Record) and found.kind == "ModuleList":
        found = list(found.modules.values())
    if not isinstance(found, list | tuple):
        raise ConvertError(
            f"holds no list of models, which --committee converts; {_LIST} or leave it out"
        )
    models = []
    for number, one in enumerate(found):
        try:
            models.append(model_of(one))
        except ConvertError as error:
            raise ConvertError(f"has a list whose number {number} {error}") from None
    return models


def _exported(export: Record) -> Any:
    """Return the model in what mace_create_lammps_model writes for ML-IAP."""
    wrapper = export.get("model")
    return wrapper.get("model") if isinstance(wrapper, Record) else wrapper


def _what(found: Any) -> str:
    """Return what a file holds instead of a model, and what to do."""
    if isinstance(found, list | tuple):
        return (
            f"holds {len(found)} objects, not one model; --committee converts a list of models, or "
            f"save each in a file of its own, {_SAVE_MODEL}"
        )
    if not isinstance(found, Mapping):
        return f"holds a {type(found).__name__}, not a model; save the model itself, {_SAVE_MODEL}"
    if "model" in found and ("optimizer" in found or "lr_scheduler" in found):
        return (
            "is a checkpoint of a training run: it has weights, but not the network; use the "
            "file '*.model' that mace_run_train writes at its end, or run it again with "
            "--restart_latest and --max_num_epochs=0"
        )
    return (
        "holds a dictionary of tensors (a state_dict) or of other things, not the network that "
        f"belongs to them; load it into the model and save that, {_SAVE_MODEL}"
    )
