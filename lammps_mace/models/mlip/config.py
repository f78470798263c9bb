"""Hyper-parameters of the MACE network, field by field as the mlip library documents them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from lammps_mace.models.blocks.irreps import parse_irreps
from lammps_mace.models.options import Activation, Flag, PositiveFloat, StrictModel, Whole

# The upper bounds are far above any published model: what is larger is a damaged or a hostile file.
LayerCount = Annotated[Whole, Field(gt=0, le=32)]
ChannelCount = Annotated[Whole, Field(gt=0, le=16384)]
Degree = Annotated[Whole, Field(ge=0, le=8)]
Correlation = Annotated[Whole, Field(gt=0, le=4)]
HeadCount = Annotated[Whole, Field(gt=0, le=64)]
SpeciesCount = Annotated[Whole, Field(gt=0, le=256)]
RadialCount = Annotated[Whole, Field(gt=0, le=128)]
Width = Annotated[Whole, Field(gt=0, le=1024)]
Widths = Annotated[tuple[Width, ...], Field(max_length=16)]

# (backend "e3j", pseudotensors) -> correlation -> highest l_max whose contraction has tables that
# are made in seconds and take less than a gigabyte. Gaunt products have no tables.
HIGHEST_DEGREE = {
    (True, False): {1: 8, 2: 8, 3: 6, 4: 4},
    (True, True): {1: 8, 2: 6, 3: 4, 4: 2},
    (False, False): {1: 8, 2: 6, 3: 3, 4: 2},
    (False, True): {1: 8, 2: 4, 3: 1, 4: 0},
}


class RadialEnvelope(StrEnum):
    """Functions that take the radial basis smoothly to zero at the cutoff."""

    POLYNOMIAL = "polynomial_envelope"
    SOFT = "soft_envelope"


def _checked_irreps(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"irreps are text such as '16x0e', not {type(value).__name__}")
    parse_irreps(value)
    return value


Irreps = Annotated[str, BeforeValidator(_checked_irreps)]


class MaceConfig(StrictModel):
    """Hyper-parameters of :class:`lammps_mace.Mace`.

    The names, defaults and meanings are those of mlip's ``MaceConfig``; unlike there, an unknown
    or misspelt key is refused, a number must have its type (neither true nor 2.0 is a whole
    number) and lie within the bounds below, and the object is frozen. Positive real numbers are
    1e-6 to 1e6.

    Attributes:
        num_layers: number of message-passing layers, 1 to 32; each needs one ghost exchange more.
        num_channels: channels of every irrep of the node features, 1 to 16,384.
        l_max: highest degree of the spherical harmonics of the edges, 0 to 8; less for high
            ``correlation``, see :data:`HIGHEST_DEGREE`.
        node_symmetry: highest degree of the node features between layers; None means ``l_max``.
        correlation: highest power of the symmetric contraction, 1 to 4 (body order minus one).
        readout_irreps: hidden and output irreps of the last readout: degrees up to 8,
            multiplicities up to 4096, 0e among the output.
        num_readout_heads: independent readouts, 1 to 64; one is selected for a simulation.
        include_pseudotensors: keep irreps of both parities in the messages.
        num_rbf: number of Bessel functions, 1 to 128.
        activation: non-linearity of the last readout.
        radial_envelope: cutoff function.
        radial_mlp_hidden: widths of the hidden layers of the radial MLP, up to 16 of 1 to 1024.
        radial_mlp_activation: non-linearity of the radial MLP.
        add_atomic_energies: add the isolated-atom energies to the network's.
        avg_num_neighbors: divisor of the messages; None means the value of the data set.
        avg_r_min: mean nearest distance in Å that scales the radial basis; None means the value
            of the data set.
        num_species: rows of the species tables, up to 256; None means one per atomic energy.
        gate_nodes: gate the contracted features by species-dependent functions of the scalars.
        residual_connection_first_layer: skip connection in the first layer too.
        soft_normalization: soft upper bound of the norm of the node features.
        predict_partial_charges: read out a charge per atom.
        use_coulomb_term: add the Coulomb energy of these charges (implies the former).
        use_total_charge_embedding: embed the total charge with the species.
        embed_activation: non-linearity of that embedding.
        deterministic_scatter_ops: sums over neighbours in a fixed order.
        symmetric_contraction_backend: basis of the symmetric contraction.
        use_gaunt_tp_message_passing: Gaunt instead of Clebsch-Gordan products in the messages.
        species_pair_scaling: multiply the radial weights by a number per pair of species. Not an
            option of mlip 0.2: what ``species_embedding_dim`` of mlip 0.1 amounts to.
    """

    num_layers: LayerCount = 2
    num_channels: ChannelCount = 128
    l_max: Degree = 3
    node_symmetry: Degree = None  # type: ignore[assignment]  # None becomes l_max below
    correlation: Correlation = 3
    readout_irreps: tuple[Irreps, ...] = ("16x0e", "0e")
    num_readout_heads: HeadCount = 1
    include_pseudotensors: Flag = False
    num_rbf: RadialCount = 8
    activation: Activation = Activation.SILU
    radial_envelope: RadialEnvelope = RadialEnvelope.POLYNOMIAL
    radial_mlp_hidden: Widths = (64, 64, 64)
    radial_mlp_activation: Activation = Activation.SILU
    add_atomic_energies: Flag = True
    avg_num_neighbors: PositiveFloat | None = None
    avg_r_min: PositiveFloat | None = None
    num_species: SpeciesCount | None = None
    gate_nodes: Flag = False
    residual_connection_first_layer: Flag = False
    soft_normalization: PositiveFloat | None = None
    predict_partial_charges: Flag = False
    use_coulomb_term: Flag = False
    use_total_charge_embedding: Flag = False
    embed_activation: Activation = Activation.SILU
    deterministic_scatter_ops: Flag = False
    symmetric_contraction_backend: Literal["e3j", "e3nn", "e3nn_symmetric", "gaunt_tp"] = "e3j"
    use_gaunt_tp_message_passing: Flag = False
    species_pair_scaling: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _fill_dependent_fields(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if data.get("node_symmetry") is None:
            data["node_symmetry"] = data.get("l_max", 3)
        if data.get("use_coulomb_term"):
            data["predict_partial_charges"] = True
        return data

    @model_validator(mode="after")
    def _check_together(self) -> MaceConfig:
        if self.node_symmetry > self.l_max:
            raise ValueError(
                f"node_symmetry={self.node_symmetry} must not exceed l_max={self.l_max}"
            )
        self._check_contraction()
        if len(self.readout_irreps) != 2:
            raise ValueError(
                "readout_irreps must hold two strings, hidden and output irreps; "
                f"got {self.readout_irreps!r}"
            )
        if (0, 1) not in parse_irreps(self.readout_irreps[1]):
            raise ValueError(
                f"readout_irreps: the output {self.readout_irreps[1]!r} has no 0e, the energy"
            )
        if self.species_pair_scaling and self.use_gaunt_tp_message_passing:
            raise ValueError(
                "species_pair_scaling and use_gaunt_tp_message_passing exclude each other: no "
                "version of mlip has both"
            )
        return self

    def _check_contraction(self) -> None:
        backend, pseudo = self.symmetric_contraction_backend, self.include_pseudotensors
        gaunt = [
            name
            for name, used in (
                ("symmetric_contraction_backend='gaunt_tp'", backend == "gaunt_tp"),
                ("use_gaunt_tp_message_passing=True", self.use_gaunt_tp_message_passing),
            )
            if used
        ]
        if pseudo and gaunt:
            raise ValueError(f"{gaunt[0]} cannot hold the irreps of include_pseudotensors=True")
        if backend == "gaunt_tp":
            return
        highest = HIGHEST_DEGREE[backend == "e3j", pseudo][self.correlation]
        if self.l_max > highest:
            raise ValueError(
                f"l_max={self.l_max} with correlation={self.correlation}, "
                f"symmetric_contraction_backend={backend!r} and include_pseudotensors={pseudo}: "
                f"the tables of the contraction would be too large; l_max can be up to {highest}"
            )
