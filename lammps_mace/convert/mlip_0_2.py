"""Checkpoints of mlip 0.2: our own names and normalisations."""

from __future__ import annotations

import numpy as np

from lammps_mace.convert.archive import Archive
from lammps_mace.convert.checkpoint import Checkpoint, parse
from lammps_mace.errors import ConvertError
from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo

_ROOT = ("params#", "mlip_network#")
_LONGEST = 50  # characters of a version
IGNORED_BY_MLIP = ("avg_num_neighbors", "avg_r_min", "num_species")


def read_v2(archive: Archive) -> Checkpoint:
    """Return the model of an archive of mlip 0.2."""
    section = archive.section("config")
    # mlip documents these but reads the data set's values: the weights belong to those.
    ignored = {key: section.pop(key, None) for key in IGNORED_BY_MLIP}
    notes = tuple(
        f"config.{key}={str(value)[:30]} left out: mlip 0.2 ignores it too"
        for key, value in ignored.items()
        if value is not None
    )
    info = parse(DatasetInfo, archive.section("dataset_info"), "dataset_info")
    if "species_pair_scaling" in section:
        raise ConvertError("config: unknown key 'species_pair_scaling': mlip has no such option")
    config = parse(MaceConfig, section, "config")
    params = rootless(archive)
    version = archive.hyperparams.get("version", "0.2")
    if not (isinstance(version, str) and version.isprintable() and len(version) <= _LONGEST):
        raise ConvertError("hyperparams.json: version is no text such as '0.2.5'")
    return Checkpoint(config, info, params, f"mlip {version}", notes)


def rootless(archive: Archive, root: str = "") -> dict[str, np.ndarray]:
    """Return the parameters without the levels above the network and ``root``.

    Raises:
        ConvertError: two parameters are the same one then.
    """
    params: dict[str, np.ndarray] = {}
    for name, array in archive.params.items():
        short = without_root(name).removeprefix(root)
        if short in params:
            raise ConvertError(
                f"the parameter {short[:100]!r} is there twice, also as {name[:100]!r}"
            )
        params[short] = array
    return params


def without_root(name: str) -> str:
    """Return a parameter's name without the levels above the network."""
    for prefix in _ROOT:
        name = name.removeprefix(prefix)
    return name
