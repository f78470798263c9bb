"""Configuration and data set statistics of mlip 0.1, and what they are called today."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from lammps_mace.convert.checkpoint import parse
from lammps_mace.models.mlip.config import (
    ChannelCount,
    Correlation,
    Degree,
    HeadCount,
    Irreps,
    LayerCount,
    MaceConfig,
    RadialCount,
    RadialEnvelope,
    SpeciesCount,
    Width,
)
from lammps_mace.models.mlip.dataset import DatasetInfo, EnergyMap
from lammps_mace.models.options import Activation, Flag, PositiveFloat, StrictModel


class ConfigV1(StrictModel):
    """Hyper-parameters of the MACE of mlip 0.1; those of MaceConfig where the names agree."""

    num_layers: LayerCount = 2
    num_channels: ChannelCount = 128
    l_max: Degree = 3
    node_symmetry: Degree = None  # type: ignore[assignment]  # None becomes l_max below
    correlation: Correlation = 3
    readout_irreps: tuple[Irreps, Irreps] = ("16x0e", "0e")
    num_readout_heads: HeadCount = 1
    include_pseudotensors: Flag = False
    num_bessel: RadialCount = 8
    activation: Activation = Activation.SILU
    radial_envelope: RadialEnvelope = RadialEnvelope.POLYNOMIAL
    symmetric_tensor_product_basis: Flag = False
    atomic_energies: Literal["average", "zero"] | EnergyMap | None = None
    avg_num_neighbors: PositiveFloat | None = None
    avg_r_min: PositiveFloat | None = None
    num_species: SpeciesCount | None = None
    gate_nodes: Flag = False
    species_embedding_dim: Width | None = None
    deterministic_scatter_ops: Flag = False  # of mlip 0.2, when it saves a model of 0.1

    @model_validator(mode="before")
    @classmethod
    def _fill_node_symmetry(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("node_symmetry") is None:
            return {**data, "node_symmetry": data.get("l_max", 3)}
        return data

    def modern(self, hidden_width: int) -> MaceConfig:
        """Return the same network in today's terms; ``hidden_width`` of the last readout.

        Raises:
            ConvertError: today's bounds do not admit it.
        """
        symmetric = self.symmetric_tensor_product_basis
        fields = {
            "num_layers": self.num_layers,
            "num_channels": self.num_channels,
            "l_max": self.l_max,
            "node_symmetry": self.node_symmetry,
            "correlation": self.correlation,
            "readout_irreps": (f"{hidden_width}x0e", "0e"),
            "num_rbf": self.num_bessel,
            "activation": self.activation,
            "radial_envelope": self.radial_envelope,
            "radial_mlp_activation": self.activation,
            "add_atomic_energies": self.atomic_energies != "zero",
            "avg_num_neighbors": self.avg_num_neighbors,
            "avg_r_min": self.avg_r_min,
            "num_species": self.num_species,
            "gate_nodes": self.gate_nodes,
            "deterministic_scatter_ops": self.deterministic_scatter_ops,
            "symmetric_contraction_backend": "e3nn_symmetric" if symmetric else "e3nn",
            "species_pair_scaling": self.species_embedding_dim is not None,
        }
        return parse(MaceConfig, fields, "config")


class DatasetInfoV1(DatasetInfo):
    """Data set statistics of mlip 0.1, where the cutoff had another name."""

    @model_validator(mode="before")
    @classmethod
    def _rename_cutoff(cls, data: Any) -> Any:
        data = dict(data)
        if "cutoff_distance_angstrom" in data and "graph_cutoff_angstrom" in data:
            raise ValueError("cutoff_distance_angstrom and graph_cutoff_angstrom are the same")
        if "cutoff_distance_angstrom" in data:
            data["graph_cutoff_angstrom"] = data.pop("cutoff_distance_angstrom")
        return data

    def modern(self, config: ConfigV1) -> DatasetInfo:
        """Return today's class, with the atomic energies that ``config`` asks for."""
        fields = {name: getattr(self, name) for name in DatasetInfo.model_fields}
        if isinstance(config.atomic_energies, dict):
            # Indexed by species there, whatever its documentation says.
            by_index = config.atomic_energies
            fields["atomic_energies_map"] = {
                number: by_index.get(i, 0.0) for i, number in enumerate(self.atomic_numbers)
            }
        return parse(DatasetInfo, fields, "dataset_info")
