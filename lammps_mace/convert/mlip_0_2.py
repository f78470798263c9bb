"""Checkpoints of mlip 0.2: our own names and normalisations."""

from __future__ import annotations

from lammps_mace.convert.archive import Archive, ConvertError
from lammps_mace.convert.checkpoint import Checkpoint, parse
from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo

_ROOT = ("params#", "mlip_network#")
IGNORED_BY_MLIP = ("avg_num_neighbors", "avg_r_min", "num_species")


def read_v2(archive: Archive) -> Checkpoint:
    """Return the model of an archive of mlip 0.2."""
    section = archive.section("config")
    # mlip documents these but reads the data set's values: the weights belong to those.
    ignored = {key: section.pop(key, None) for key in IGNORED_BY_MLIP}
    notes = tuple(
        f"config.{key}={value} left out: mlip 0.2 ignores it too"
        for key, value in ignored.items()
        if value is not None
    )
    info = parse(DatasetInfo, archive.section("dataset_info"), "dataset_info")
    if "species_pair_scaling" in section:
        raise ConvertError("config: unknown key 'species_pair_scaling': mlip has no such option")
    config = parse(MaceConfig, section, "config")
    params = {without_root(name): array for name, array in archive.params.items()}
    version = archive.hyperparams.get("version", "0.2")
    return Checkpoint(config, info, params, f"mlip {version}", notes)


def without_root(name: str) -> str:
    """Return a parameter's name without the levels above the network."""
    for prefix in _ROOT:
        name = name.removeprefix(prefix)
    return name
