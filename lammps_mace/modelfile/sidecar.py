"""X.json: everything of a model but its weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lammps_mace import __version__
from lammps_mace.errors import UnusableFileError
from lammps_mace.modelfile.validation import parse_json, shortened, validate
from lammps_mace.models import families
from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.model import Dtype, Model
from lammps_mace.models.options import Flag, StrictModel, TotalCharge, Whole, printable
from lammps_mace.models.torch.config import TorchMaceConfig

FORMAT_VERSION = 3  # the newest that is read; models of mlip have files of version 1

MOST_MEMBERS = 100  # of a committee

_Text = Annotated[str, Field(max_length=1000), BeforeValidator(printable)]
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Head = Annotated[Whole, Field(ge=0)]


class MlipSidecar(StrictModel):
    """Contents of X.json of a model of mlip.

    Attributes:
        format_version: of these three files.
        package_version: lammps-mace that wrote them.
        config, dataset_info: the network.
        elements: chemical symbols in species order.
        dtype: precision of the evaluation.
        head: readout head of the simulation.
        total_charge: total charge of the simulated system, e; None for models without charges.
        write_charges: let LAMMPS's atoms have the predicted charges.
        exact_radial: evaluate the radial network itself, never splines fitted to it.
        weights_sha256: of X.safetensors.
        origin: what the weights came from, up to 1000 characters.
    """

    format_version: Literal[1]
    package_version: _Text
    config: MaceConfig
    dataset_info: DatasetInfo
    elements: tuple[str, ...]
    dtype: Dtype
    head: _Head
    total_charge: TotalCharge | None
    write_charges: Flag = False
    exact_radial: Flag = False
    weights_sha256: _Sha256
    origin: _Text


class TorchSidecar(StrictModel):
    """Contents of X.json of a model of mace-torch; attributes as of :class:`MlipSidecar`.

    Attributes:
        total_charge, total_spin: of the simulated system; None where the network reads none.
    """

    format_version: Literal[2]
    family: Literal["mace-torch"]
    package_version: _Text
    config: TorchMaceConfig
    elements: tuple[str, ...]
    dtype: Dtype
    head: _Head
    total_charge: TotalCharge | None
    total_spin: Annotated[Whole, Field(ge=-(10**6), le=10**6)] | None
    exact_radial: Flag = False
    weights_sha256: _Sha256
    origin: _Text


class CommitteeSidecar(StrictModel):
    """Contents of X.json of a committee: its models' are X.0.json, X.1.json, ...

    Attributes:
        members: the SHA-256 of each of them.
    """

    format_version: Literal[3]
    family: Literal["committee"]
    package_version: _Text
    members: Annotated[tuple[_Sha256, ...], Field(min_length=2, max_length=MOST_MEMBERS)]


Sidecar = MlipSidecar | TorchSidecar
_SETTINGS = "config", "dtype", "head", "total_charge", "exact_radial", "weights_sha256", "origin"


def sidecar_of(model: Model) -> Sidecar:
    """Return the contents of X.json of a model."""
    fields: dict[str, Any] = {name: getattr(model, name) for name in _SETTINGS}
    fields |= {"package_version": __version__, "elements": families.facts(model).elements}
    if isinstance(model.config, TorchMaceConfig):
        return TorchSidecar(
            format_version=2, family="mace-torch", total_spin=model.total_spin, **fields
        )
    return MlipSidecar(
        format_version=1, dataset_info=model.dataset_info, write_charges=model.write_charges,
        **fields,
    )  # fmt: skip


def model_of(sidecar: Sidecar, sha256: str) -> Model:
    """Return the model that X.json tells of, without its weights.

    Args:
        sha256: of X.json.
    """
    fields = {name: getattr(sidecar, name) for name in _SETTINGS}
    if isinstance(sidecar, TorchSidecar):
        return Model(
            **fields, dataset_info=None, params={}, total_spin=sidecar.total_spin, sha256=sha256
        )
    return Model(
        **fields, dataset_info=sidecar.dataset_info, params={},
        write_charges=sidecar.write_charges, sha256=sha256,
    )  # fmt: skip


def committee_of(digests: Sequence[str]) -> CommitteeSidecar:
    """Return the contents of X.json of models whose own have these SHA-256."""
    return CommitteeSidecar(
        format_version=3, family="committee", package_version=__version__, members=tuple(digests)
    )


def dump_sidecar(sidecar: Sidecar | CommitteeSidecar) -> bytes:
    """Return the text of X.json."""
    return (json.dumps(sidecar.model_dump(mode="json"), indent=1) + "\n").encode()


def parse_sidecar(text: bytes, name: str) -> Sidecar | CommitteeSidecar:
    """Return the contents of X.json; ``name`` is for messages.

    Raises:
        UnusableFileError: it is damaged, not ours, or of a newer format.
    """
    data = parse_json(text, name)
    version = data.get("format_version")
    if version is None:
        raise UnusableFileError(f"{name} is not the sidecar of a model file: no format_version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise UnusableFileError(
            f"{name} has format version {shortened(repr(version))}; lammps-mace {__version__} "
            f"reads 1 to {FORMAT_VERSION}: install a newer lammps-mace"
        )
    if version == 3:
        return validate(CommitteeSidecar, data, name, ": ")
    sidecar: Sidecar = (
        validate(MlipSidecar, data, name, ": ") if version == 1
        else validate(TorchSidecar, data, name, ": ")
    )  # fmt: skip
    owner = sidecar.dataset_info if isinstance(sidecar, MlipSidecar) else sidecar.config
    if sidecar.elements != owner.elements:
        source = "atomic_energies_map" if version == 1 else "config.atomic_numbers"
        listed = " ".join(owner.elements)
        raise UnusableFileError(f"{name}: elements must be those of {source}, {listed}")
    return sidecar
