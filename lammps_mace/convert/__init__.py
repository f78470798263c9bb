"""Convert checkpoints of mlip (versions 0.1 and 0.2) and of mace-torch to model files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lammps_mace.convert.archive import Archive, read_archive
from lammps_mace.convert.checkpoint import Checkpoint
from lammps_mace.convert.kinds import kind_of
from lammps_mace.convert.mlip import mlip_model, read_checkpoint
from lammps_mace.convert.options import DEFAULT_OPTIONS, Options
from lammps_mace.convert.torch.conversion import torch_model, torch_models
from lammps_mace.errors import ConvertError
from lammps_mace.modelfile import Dtype, check_members, write_committee, write_model
from lammps_mace.models import families
from lammps_mace.models.model import Model

__all__ = [
    "Archive",
    "Checkpoint",
    "ConvertError",
    "Options",
    "convert",
    "convert_committee",
    "read_archive",
    "read_checkpoint",
]


def convert(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    dtype: Dtype = "float32",
    head: str | None = None,
    total_charge: int | None = None,
    total_spin: int | None = None,
    elements: Sequence[str] | None = None,
    write_charges: bool = False,
    exact_radial: bool = False,
    verify: bool = False,
) -> list[str]:
    """Convert a checkpoint to X.model, X.json and X.safetensors.

    A model of mace-torch is compared with its network before anything is written.

    Args:
        path: the zip of mlip, or the ``.model`` of mace-torch; its contents tell which.
        output: X.model.
        dtype: precision of the evaluation.
        head: readout head, by its name (of the data set, in mlip) or by index. None means the
            first of mlip; of mace-torch the only one, or that beside ``pt_head``.
        total_charge: of the simulated system, e; None chooses the only or the neutral one.
        total_spin: of the simulated system, as the model counts it; None chooses 1.
        elements: chemical symbols; the model file knows no others. None keeps all.
        write_charges: let LAMMPS's atoms have the predicted charges.
        exact_radial: evaluate the radial network itself, never splines fitted to it.
        verify: compare with the model of mace-torch itself, run by torch, before anything is
            written; that unpickles the file, which executes what it says.

    Returns:
        Lines that say what was done.

    Raises:
        ConvertError: the checkpoint cannot be converted; no file was written.
    """
    _check_output(Path(output))
    is_torch = _is_torch(path, verify)
    options = Options(dtype, head, total_charge, total_spin, write_charges, exact_radial)
    found = (torch_model if is_torch else mlip_model)(path, options)
    model = found.model if elements is None else _of_elements(found.model, elements)
    checked = _checked(model, path if verify else None) if is_torch else []
    write_model(output, model)
    return [*found.summary, *(f"note: {n}" for n in found.notes), *checked, *_use(output, model)]


def convert_committee(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: Options = DEFAULT_OPTIONS,
    elements: Sequence[str] | None = None,
    verify: bool = False,
) -> list[str]:
    """Convert a list of models, as ``torch.save([a, b], path)`` writes it, to one committee.

    Args:
        options: of all models; otherwise as :func:`convert`.

    Raises:
        ConvertError: there is no list, a model of it cannot be converted, or they do not fit each
            other; no file was written.
    """
    _check_output(Path(output))
    if not _is_torch(path, verify):
        raise ConvertError("--committee: a zip of mlip holds one model; leave the option out")
    found = torch_models(path, options)
    models = [one.model if elements is None else _of_elements(one.model, elements) for one in found]
    try:
        check_members(models)
    except ValueError as error:
        raise ConvertError(f"--committee: {error}") from None
    lines = []
    for number, (one, model) in enumerate(zip(found, models, strict=True)):
        lines += [*one.summary, *(f"note: {n}" for n in one.notes)]
        lines += _checked(model, path if verify else None, number)
    written = write_committee(output, models)
    return [
        *lines,
        f"wrote {written} with {len(models)} models, and their sidecars",
        f"in LAMMPS: pair_style mliap unified {written} 0 deviation devi.out every 10",
        f"           pair_coeff * * {' '.join(families.facts(models[0]).elements)}",
    ]


def _is_torch(path: str | os.PathLike[str], verify: bool) -> bool:
    """Return whether a checkpoint is of mace-torch; only such a one can be verified."""
    is_torch = kind_of(path) == "torch"
    if verify and not is_torch:
        raise ConvertError("--verify: only models of mace-torch can be run by torch; leave it out")
    return is_torch


def _checked(
    model: Model, source: str | os.PathLike[str] | None, number: int | None = None
) -> list[str]:
    # Not at the top: it imports JAX.
    from lammps_mace.convert.self_check import self_check, verify_against_torch

    # First: it says at once whether there is a torch.
    verified = [] if source is None else verify_against_torch(model, source, number)
    return [*self_check(model), *verified]


def _check_output(path: Path) -> None:
    if path.suffix != ".model":
        raise ConvertError(f"-o {str(path)!r} must end in '.model'")
    if not path.parent.is_dir():
        raise ConvertError(
            f"-o {str(path)!r}: there is no folder {str(path.parent)!r}; make it first"
        )


def _of_elements(model: Model, elements: Sequence[str]) -> Model:
    """Return the model of these elements alone."""
    facts = families.facts(model)
    unknown = [symbol for symbol in elements if symbol not in facts.known_elements]
    if unknown or not elements:
        raise ConvertError(
            f"--elements {' '.join(elements)}: the model knows {' '.join(facts.known_elements)}"
        )
    rows = [facts.elements.index(symbol) for symbol in dict.fromkeys(elements)]
    return families.select_elements(model, rows)


def _use(output: str | os.PathLike[str], model: Model) -> list[str]:
    path = Path(output)
    return [
        f"wrote {path}, {path.with_suffix('.json').name}, {path.with_suffix('.safetensors').name}",
        f"in LAMMPS: pair_style mliap unified {path} 0",
        f"           pair_coeff * * {' '.join(families.facts(model).elements)}",
    ]
