"""Descriptions: what a network computes, in arrays and irreps, whatever family it is of.

A family of models writes its networks in these terms; lowering reads them, and nothing else of a
family. Features are arrays [n, dim, channels]: each irrep stands once, its components follow each
other, and all channels are treated alike. Arrays are float64.

With h_i the features of atom i, s_i its species, r_ij the distance to its neighbour j and Y the
spherical harmonics (sum_m Y_lm^2 = 2l + 1), a layer computes

    u_j  = send(h_j)
    A_i  = sum_j R(r_ij, s_j, s_i) (u_j x Y(r_i - r_j)) / N_i    RadialWeights, Density
    m_i  = mix(A_i)                                              perhaps MessageGate
    B_i  = a polynomial in m_i with coefficients of s_i          Contraction, perhaps ScalarGate
    h'_i = bound(product(B_i)) + skip(h_i)

and adds readout(h'_i) to the energy of the atom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

import e3nn_jax as e3nn
import jax
import numpy as np

from lammps_mace.models.blocks.linear import Blocks
from lammps_mace.models.blocks.paths import TensorProductPath
from lammps_mace.models.blocks.polynomial import Polynomial
from lammps_mace.models.network import NetworkLayer
from lammps_mace.models.partial_charges import PartialCharges

# Irrep -> [n_species or 1, channels in, channels out]: a matrix for each species of the atom, or
# one for all. Irreps without a matrix come out as zeros.
LinearMap: TypeAlias = Mapping[str, np.ndarray]


class SpeciesDependence(StrEnum):
    """Of which species radial functions depend, besides the distance."""

    SHARED = "none"
    SENDER = "that of the sender"
    RECEIVER = "that of the receiver"
    PAIR = "both"


# (parameters, distances [n], species of senders and of receivers) -> inputs of a network [n, k],
# and a factor [n, 1] of what it gives, None: 1.
RadialInputs: TypeAlias = Callable[
    [Any, jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array | None]
]
RadialFunctions: TypeAlias = Callable[[Any, jax.Array, jax.Array, jax.Array], jax.Array]


class BesselInputs(NamedTuple):
    """Inputs of a radial network: sin(root_k r) / r times a polynomial that is 0 at the cutoff.

    Attributes:
        roots: [k], 1/Å.
        cutoff: Å.
        power: of r / cutoff that the polynomial begins with, besides 1, as in
            :func:`lammps_mace.models.mlip.embedding.envelope`.
        factor: of all inputs.
    """

    roots: np.ndarray
    cutoff: float
    power: int
    factor: float


class RadialNetwork(NamedTuple):
    """Radial functions as a network that kernels know: x -> silu(x @ matrix) for each matrix.

    Attributes:
        inputs: x, and a factor of the results.
        matrices: of the layers, [k_in, k_out].
        scale: another factor of the results, the same for all.
    """

    inputs: RadialInputs | BesselInputs
    matrices: tuple[np.ndarray, ...]
    scale: float = 1.0


@dataclass(frozen=True, eq=False)
class RadialWeights:
    """R(r, s_j, s_i) = factor[s_j, s_i] * (functions(r, s_j, s_i) @ matrix); j sends, i receives.

    Attributes:
        functions: (parameters, distances [n] in Å, species of senders and of receivers, int32 [n])
            -> [n, k], in the precision of the distances; JAX traces it.
        parameters: pytree of arrays that ``functions`` reads.
        matrix: [k, n_weights], the last linear map; path by path, channels fastest.
        identity: tells ``functions`` from all others with equal parameters.
        factor: [n_species, n_species, n_weights]; None: 1.
        dependence: which species ``functions`` reads.
        symmetric: the functions of two species are the same whichever of them sends.
        zero_at_cutoff: whether they go smoothly to zero there, so that splines can stand for them.
        network: the same functions but for rounding, if they are such a network.
    """

    functions: RadialFunctions
    parameters: Any
    matrix: np.ndarray
    identity: str
    factor: np.ndarray | None = None
    dependence: SpeciesDependence = SpeciesDependence.SHARED
    symmetric: bool = False
    zero_at_cutoff: bool = True
    network: RadialNetwork | None = None


@dataclass(frozen=True, eq=False)
class Density:
    """A divisor of the sums that depends on the atom: N_i = constant + factor * sum_j R(r_ij, ...).

    Attributes:
        radial: with a single weight.
    """

    radial: RadialWeights
    constant: float
    factor: float


@dataclass(frozen=True, eq=False)
class MessageGate:
    """What may follow the mixed sums: m -> after(gate(m + own(u))).

    Of the channels of 0e, the first ``n_scalars`` are activated. The others multiply, activated,
    the channels of the other irreps: first all of the first one, and so on.

    Attributes:
        own: map of what the atom itself sends; None: nothing is added.
        n_scalars: channels of 0e that are no gates.
        scalars, gates: activation functions, normalisation included.
        after: map of what has passed the gate.
    """

    own: LinearMap | None
    n_scalars: int
    scalars: Callable[[jax.Array], jax.Array]
    gates: Callable[[jax.Array], jax.Array]
    after: LinearMap


@dataclass(frozen=True, eq=False)
class Contraction:
    """A polynomial of each channel of the messages, whose coefficients depend on the species.

    Attributes:
        polynomial: to the components of the layer's results. Its variables are the components of
            the messages, copies of a component one after the other, then the results of ``inner``.
        weights: key of :class:`Polynomial` -> [n_species or 1, n_weights, channels].
        inner: a polynomial of the same messages, whose results are more variables; or None.
    """

    polynomial: Polynomial
    weights: Mapping[str, np.ndarray]
    inner: Contraction | None = None


@dataclass(frozen=True, eq=False)
class ScalarGate:
    """Factors of the contracted features, one per irrep and channel: B_0 @ weight + bias.

    Attributes:
        weight: [n_species, channels, irreps * channels], of the scalars B_0.
        bias: [n_species, irreps * channels].
    """

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True, eq=False)
class Readout:
    """Outputs of an atom: the energy and, where the model predicts it, the charge.

    Attributes:
        function: (parameters, irrep -> [n, 2l+1, channels]) -> [n, n_outputs], traced by JAX.
        parameters: pytree of arrays.
        reads: irreps that matter to it.
    """

    function: Callable[[Any, Blocks], jax.Array]
    parameters: Any
    reads: frozenset[str]


@dataclass(frozen=True, eq=False)
class LayerDescription:
    """One layer; see the equations at the top of this file.

    Attributes:
        source, messages, target: irreps of h, of the sums, and of the new h; each once.
        sent: irreps of u; None: those of h.
        send: None in the first layer: :class:`FirstFeatures` have it.
        paths: in the order of the radial weights.
        radial: R, a weight for each path and channel of u.
        normalization: N, the same for all atoms, or a density.
        mix: maps of the sums, one after the other. The first one reads for each irrep the sums of
            its paths in their order, channels fastest.
        copies: of the messages: the maps give copies * channels to every irrep, and channel
            k * channels + c is copy k of channel c.
        message_gate: None: nothing comes between the sums and the contraction.
        contraction: of the mixed sums.
        scalar_gate: of the contracted features, or None.
        product: map of the contracted features.
        bound: soft upper bound of the features, see ``bounded`` in blocks.norms; or None.
        skip: map of h, None without; to irreps that it lacks nothing is added.
        readout: of the new h.
    """

    source: e3nn.Irreps
    messages: e3nn.Irreps
    target: e3nn.Irreps
    send: LinearMap | None
    paths: tuple[TensorProductPath, ...]
    radial: RadialWeights
    normalization: float | Density
    mix: tuple[LinearMap, ...]
    contraction: Contraction
    product: LinearMap
    skip: LinearMap | None
    readout: Readout
    sent: e3nn.Irreps | None = None
    copies: int = 1
    message_gate: MessageGate | None = None
    scalar_gate: ScalarGate | None = None
    bound: float | None = None


class FirstFeatures(NamedTuple):
    """What an atom of each species knows, and sends, before the first layer.

    Attributes:
        own, sent: [n_species, dim, channels].
    """

    own: jax.Array
    sent: jax.Array


@dataclass(frozen=True, eq=False)
class PairEnergy:
    """An energy of each pair that no layer knows of, such as a repulsion at short distances.

    Attributes:
        function: see ``functions`` of :class:`RadialWeights`; -> [n], half the energy of a pair.
        parameters: pytree of arrays.
        scaled: it is multiplied by the scale of the model like the outputs of the layers; else eV.
    """

    function: RadialFunctions
    parameters: Any
    scaled: bool


@dataclass(frozen=True, eq=False)
class ModelDescription:
    """A network with one of its heads: E_i = scale * (sum of the outputs) + shift + E0[s_i].

    Attributes:
        cutoff: of all layers, Å.
        dtype: precision of the evaluation, "float32" or "float64".
        scale, shift: eV.
        atomic_energies: E0 [n_species], eV; nan where the head has none.
        first_features: computes them.
        layers: in order; empty where ``undescribed``.
        undescribed: what the network has that a description cannot say, None if nothing.
        network_layers: gives the network as it is defined; the reference.
        charges: None: the network predicts none.
        pair_energy: None: there is none.
        deterministic_sums: sums over neighbours must not depend on the order of threads.
        exact_radial: radial functions are to be evaluated themselves, never splines.
    """

    cutoff: float
    dtype: str
    scale: float
    shift: float
    atomic_energies: np.ndarray
    first_features: Callable[[], FirstFeatures]
    layers: tuple[LayerDescription, ...]
    undescribed: str | None
    network_layers: Callable[[], Sequence[NetworkLayer]]
    charges: PartialCharges | None = None
    pair_energy: PairEnergy | None = None
    deterministic_sums: bool = False
    exact_radial: bool = False
