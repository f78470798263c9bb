"""Configuration of a network of mace-torch: everything in it that is not an array."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from lammps_mace.models.blocks.irreps import Irrep, harmonics, name, parse_irrep_list
from lammps_mace.models.elements import SYMBOLS
from lammps_mace.models.model import Dtype
from lammps_mace.models.options import Flag, Name, PositiveFloat, StrictModel, Whole

# The upper bounds are far above any published model: what is larger is a damaged or a hostile file.
Width = Annotated[Whole, Field(gt=0, le=16384)]
Widths = Annotated[tuple[Width, ...], Field(max_length=16)]
Count = Annotated[Whole, Field(ge=0, le=4096)]
Cutoff = Annotated[float, Field(ge=0.01, le=1000.0, allow_inf_nan=False)]  # Å
AtomicNumber = Annotated[Whole, Field(ge=1, le=len(SYMBOLS))]
_HIGHEST_DEGREE = 4  # of the features of atoms
_MOST_FACTORS = 4


class Interaction(StrEnum):
    """Interaction blocks, by the library's names without their common ending."""

    PLAIN = "RealAgnostic"
    RESIDUAL = "RealAgnosticResidual"
    DENSITY = "RealAgnosticDensity"
    DENSITY_RESIDUAL = "RealAgnosticDensityResidual"
    NON_LINEAR = "RealAgnosticResidualNonLinear"

    @property
    def has_skip(self) -> bool:
        """Whether the features before a layer are added behind it."""
        return "Residual" in self.value

    @property
    def has_density(self) -> bool:
        """Whether the sums are divided by a density instead of a constant."""
        return "Density" in self.value or self.is_non_linear

    @property
    def is_non_linear(self) -> bool:
        """Whether a gate follows the sums, and the radial network sees both species."""
        return self is Interaction.NON_LINEAR


class Basis(StrEnum):
    """Radial basis functions."""

    BESSEL = "bessel"
    GAUSSIAN = "gaussian"
    CHEBYSHEV = "chebyshev"


class Transform(StrEnum):
    """Transforms of the distance by the covalent radii of both elements, before the basis."""

    NONE = "none"
    AGNESI = "agnesi"
    SOFT = "soft"
    EARLY_SOFT = "early soft"  # another function, of the same name in versions up to about 0.3.10


class Gate(StrEnum):
    """Activation functions of readouts."""

    SILU = "silu"
    TANH = "tanh"
    ABS = "abs"
    NONE = "none"


def _checked_irreps(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"irreps are text such as '0e+1o', not {type(value).__name__}")
    parse_irrep_list(value)
    return value


Irreps = Annotated[str, BeforeValidator(_checked_irreps)]


class RadialConfig(StrictModel):
    """Radial basis of all layers.

    Attributes:
        basis: kind of functions.
        count: how many of them.
        orders: of Chebyshev's polynomials; no numbers with another basis.
        transform: of the distance, before the basis.
        cutoff_outside: the cutoff function multiplies the radial weights, not the basis.
    """

    basis: Basis
    count: Annotated[Whole, Field(gt=0, le=1024)]
    orders: tuple[Annotated[Whole, Field(ge=0, le=1024)], ...] = ()
    transform: Transform
    cutoff_outside: Flag

    @model_validator(mode="after")
    def _check_together(self) -> RadialConfig:
        if len(self.orders) != self.count * (self.basis is Basis.CHEBYSHEV):
            raise ValueError(f"orders: {len(self.orders)} do not fit {self.count} {self.basis}")
        return self


class LayerConfig(StrictModel):
    """One layer.

    Attributes:
        interaction: block of messages.
        sent: irreps of what atoms send, ``sent_channels`` of each.
        messages: irreps of the mixed sums.
        target: irreps of the new features.
        radial_widths: widths of the hidden layers of the radial network.
        density_widths: likewise of the network of the density.
        avg_num_neighbors: of an atom in the training data; without density it divides the sums.
        contraction: for each target irrep, the number of coupling tensors of each power from 1 on.
        agnostic_product: the weights of the contraction are the same for all elements.
    """

    interaction: Interaction
    sent: Irreps
    sent_channels: Width
    messages: Irreps
    target: Irreps
    radial_widths: Widths
    density_widths: Widths = ()
    avg_num_neighbors: PositiveFloat
    contraction: tuple[tuple[Count, ...], ...]
    agnostic_product: Flag = False

    @model_validator(mode="after")
    def _check_together(self) -> LayerConfig:
        orders = {len(counts) for counts in self.contraction}
        if len(self.contraction) != len(parse_irrep_list(self.target)) or len(orders) != 1:
            raise ValueError(
                "contraction: needs the same number of powers for each irrep of target"
            )
        if not 1 <= self.correlation <= _MOST_FACTORS:
            raise ValueError(f"contraction: {self.correlation} powers; 1 to {_MOST_FACTORS}")
        return self

    @property
    def correlation(self) -> int:
        """Highest power of the contraction."""
        return len(self.contraction[0])


class ReadoutConfig(StrictModel):
    """A readout: the energy of an atom from its scalars after one layer.

    Attributes:
        layer: index of that layer.
        kind: a linear map; with a hidden layer; or with two and biases.
        width: of a hidden layer, per head.
        gate: of the hidden layers.
    """

    layer: Annotated[Whole, Field(ge=0)]
    kind: Literal["linear", "non-linear", "biased"]
    width: Annotated[Whole, Field(ge=0, le=16384)] = 0
    gate: Gate = Gate.NONE

    @model_validator(mode="after")
    def _check_together(self) -> ReadoutConfig:
        if (self.kind == "linear") != (self.width == 0):
            raise ValueError(f"width={self.width} does not belong to kind={self.kind!r}")
        return self


class EmbeddingConfig(StrictModel):
    """A whole number of the system, embedded with the species.

    Attributes:
        quantity: which number.
        classes: how many values are known; the first one is -``offset``.
        width: of the embedding.
    """

    quantity: Literal["total_charge", "total_spin"]
    classes: Annotated[Whole, Field(gt=0, le=100_000)]
    offset: Annotated[Whole, Field(ge=-100_000, le=100_000)]
    width: Width


class TorchMaceConfig(StrictModel):
    """A network of mace-torch, strict: unknown keys and wrong types are refused.

    Attributes:
        atomic_numbers: in species order.
        cutoff_angstrom: ``r_max``.
        channels: of every irrep of the features and of the messages.
        max_degree: highest degree of the spherical harmonics.
        coupling_dtype: in which the library keeps Clebsch-Gordan coefficients: that in which the
            model was made, whatever it is evaluated in.
        radial: functions of the distance.
        pair_repulsion: ZBL at short distances.
        scale_shift: scale and shift are applied to the repulsion and the readouts; else neither.
        heads: names of the heads.
        embeddings: of total charge and spin.
        embedding_readout: an energy of each atom is read from its first features.
        layers, readouts: in order.
    """

    atomic_numbers: Annotated[tuple[AtomicNumber, ...], Field(min_length=1, max_length=118)]
    cutoff_angstrom: Cutoff
    channels: Width
    max_degree: Annotated[Whole, Field(ge=0, le=8)]
    coupling_dtype: Dtype = "float64"
    radial: RadialConfig
    pair_repulsion: Flag = False
    scale_shift: Flag
    heads: Annotated[tuple[Name, ...], Field(min_length=1, max_length=256)]
    embeddings: Annotated[tuple[EmbeddingConfig, ...], Field(max_length=2)] = ()
    embedding_readout: Flag = False
    layers: Annotated[tuple[LayerConfig, ...], Field(min_length=1, max_length=32)]
    readouts: Annotated[tuple[ReadoutConfig, ...], Field(min_length=1, max_length=32)]

    @model_validator(mode="after")
    def _check_together(self) -> TorchMaceConfig:
        if len(set(self.atomic_numbers)) != len(self.atomic_numbers):
            raise ValueError("atomic_numbers: an element occurs twice")
        if len(set(self.heads)) != len(self.heads):
            raise ValueError("heads: a name occurs twice")
        quantities = [embedding.quantity for embedding in self.embeddings]
        if len(set(quantities)) != len(quantities):
            raise ValueError("embeddings: a quantity occurs twice")
        if self.embedding_readout and not self.embeddings:
            raise ValueError("embedding_readout: there are no embeddings")
        for readout in self.readouts:
            if readout.layer >= len(self.layers):
                raise ValueError(f"readouts: there is no layer {readout.layer}")
        for index, layer in enumerate(self.layers):
            _check_irreps(f"layers.{index}", layer)
        return self

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols in species order."""
        return tuple(SYMBOLS[number - 1] for number in self.atomic_numbers)

    def source(self, index: int) -> tuple[Irrep, ...]:
        """Return the irreps of the features before a layer."""
        return parse_irrep_list(self.layers[index - 1].target) if index else ((0, 1),)

    def harmonics(self) -> tuple[Irrep, ...]:
        """Return the irreps of the spherical harmonics."""
        return tuple(harmonics(self.max_degree))


def _check_irreps(place: str, layer: LayerConfig) -> None:
    target, messages = parse_irrep_list(layer.target), parse_irrep_list(layer.messages)
    if (0, 1) not in target:
        raise ValueError(
            f"{place}: target {layer.target!r} has no 0e, from which energies are read"
        )
    if (0, 1) not in messages:
        raise ValueError(f"{place}: messages {layer.messages!r} have no 0e")
    if layer.interaction.is_non_linear:
        if (0, -1) in messages:
            raise ValueError(f"{place}: the gate of {layer.interaction} knows no 0o")
        if not (layer.radial_widths and layer.density_widths):
            raise ValueError(f"{place}: the networks of {layer.interaction} have hidden layers")
    highest = max(target)
    if highest[0] > _HIGHEST_DEGREE:
        raise ValueError(f"{place}: target has {name(highest)}; up to {_HIGHEST_DEGREE} is known")
