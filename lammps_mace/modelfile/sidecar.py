"""X.json: everything of a model but its weights."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BeforeValidator, Field

from lammps_mace import __version__
from lammps_mace.errors import UnusableFileError
from lammps_mace.modelfile.validation import parse_json, shortened, validate
from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.model import Dtype
from lammps_mace.models.options import Flag, StrictModel, TotalCharge, Whole, printable

FORMAT_VERSION = 1

_Text = Annotated[str, Field(max_length=1000), BeforeValidator(printable)]
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Sidecar(StrictModel):
    """Contents of X.json.

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

    format_version: Whole
    package_version: _Text
    config: MaceConfig
    dataset_info: DatasetInfo
    elements: tuple[str, ...]
    dtype: Dtype
    head: Annotated[Whole, Field(ge=0)]
    total_charge: TotalCharge | None
    write_charges: Flag = False
    exact_radial: Flag = False
    weights_sha256: _Sha256
    origin: _Text


def dump_sidecar(sidecar: Sidecar) -> bytes:
    """Return the text of X.json."""
    return (json.dumps(sidecar.model_dump(mode="json"), indent=1) + "\n").encode()


def parse_sidecar(text: bytes, name: str) -> Sidecar:
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
    sidecar = validate(Sidecar, data, name, ": ")
    if sidecar.elements != sidecar.dataset_info.elements:
        raise UnusableFileError(
            f"{name}: elements must be those of atomic_energies_map, "
            f"{' '.join(sidecar.dataset_info.elements)}"
        )
    return sidecar
