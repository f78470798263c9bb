"""Hyper-parameters of the MACE network, field by field as the mlip library documents them."""

from __future__ import annotations

import difflib
import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_IRREP = re.compile(r"\s*(\d+\s*x\s*)?\d+[eo]\s*")


class Activation(StrEnum):
    """Activation functions of the readout, the radial MLP and the charge embedding."""

    TANH = "tanh"
    SILU = "silu"
    RELU = "relu"
    ELU = "elu"
    SWISH = "swish"
    SIGMOID = "sigmoid"
    NONE = "none"


class RadialEnvelope(StrEnum):
    """Functions that take the radial basis smoothly to zero at the cutoff."""

    POLYNOMIAL = "polynomial_envelope"
    SOFT = "soft_envelope"


def _checked_irreps(value: Any) -> str:
    text = str(value)
    if not all(_IRREP.fullmatch(term) for term in text.split("+")):
        raise ValueError(f"{text!r} is not a string of irreps such as '16x0e' or '8x0e + 4x1o'")
    return text


Irreps = Annotated[str, BeforeValidator(_checked_irreps)]


class StrictModel(BaseModel):
    """A frozen pydantic model that refuses unknown keys and names the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for key in data:
            if key not in cls.model_fields:
                near = difflib.get_close_matches(str(key), cls.model_fields, n=1, cutoff=0.0)
                raise ValueError(
                    f"unknown key {key!r} in {cls.__name__}; did you mean {near[0]!r}?"
                )
        return data


class MaceConfig(StrictModel):
    """Hyper-parameters of :class:`lammps_mace.Mace`.

    The names, defaults and meanings are those of mlip's ``MaceConfig``; unlike there, an unknown
    or misspelt key is refused and the object is frozen.

    Attributes:
        num_layers: number of message-passing layers; each needs one ghost exchange more.
        num_channels: channels of every irrep of the node features.
        l_max: highest degree of the spherical harmonics of the edges.
        node_symmetry: highest degree of the node features between layers; None means ``l_max``.
        correlation: highest power of the symmetric contraction, 1 to 4 (body order minus one).
        readout_irreps: hidden and output irreps of the last readout.
        num_readout_heads: independent readouts; one is selected for a simulation.
        include_pseudotensors: keep irreps of both parities in the messages.
        num_rbf: number of Bessel functions.
        activation: non-linearity of the last readout.
        radial_envelope: cutoff function.
        radial_mlp_hidden: widths of the hidden layers of the radial MLP.
        radial_mlp_activation: non-linearity of the radial MLP.
        add_atomic_energies: add the isolated-atom energies to the network's.
        avg_num_neighbors: divisor of the messages; None means the value of the data set.
        avg_r_min: mean nearest distance in Å that scales the radial basis; None means the value
            of the data set.
        num_species: rows of the species tables; None means one per atomic energy.
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

    num_layers: PositiveInt = 2
    num_channels: PositiveInt = 128
    l_max: NonNegativeInt = 3
    node_symmetry: NonNegativeInt = None  # type: ignore[assignment]  # None becomes l_max below
    correlation: PositiveInt = 3
    readout_irreps: tuple[Irreps, ...] = ("16x0e", "0e")
    num_readout_heads: PositiveInt = 1
    include_pseudotensors: bool = False
    num_rbf: PositiveInt = 8
    activation: Activation = Activation.SILU
    radial_envelope: RadialEnvelope = RadialEnvelope.POLYNOMIAL
    radial_mlp_hidden: tuple[PositiveInt, ...] = (64, 64, 64)
    radial_mlp_activation: Activation = Activation.SILU
    add_atomic_energies: bool = True
    avg_num_neighbors: PositiveFloat | None = None
    avg_r_min: PositiveFloat | None = None
    num_species: PositiveInt | None = None
    gate_nodes: bool = False
    residual_connection_first_layer: bool = False
    soft_normalization: PositiveFloat | None = None
    predict_partial_charges: bool = False
    use_coulomb_term: bool = False
    use_total_charge_embedding: bool = False
    embed_activation: Activation = Activation.SILU
    deterministic_scatter_ops: bool = False
    symmetric_contraction_backend: Literal["e3j", "e3nn", "e3nn_symmetric", "gaunt_tp"] = "e3j"
    use_gaunt_tp_message_passing: bool = False
    species_pair_scaling: bool = False

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
        if self.correlation > 4:
            raise ValueError(f"correlation={self.correlation} must be 1, 2, 3 or 4")
        if len(self.readout_irreps) != 2:
            raise ValueError(
                "readout_irreps must hold two strings, hidden and output irreps; "
                f"got {self.readout_irreps!r}"
            )
        if self.species_pair_scaling and self.use_gaunt_tp_message_passing:
            raise ValueError(
                "species_pair_scaling and use_gaunt_tp_message_passing exclude each other: no "
                "version of mlip has both"
            )
        return self
