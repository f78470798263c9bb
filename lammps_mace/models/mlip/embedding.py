"""Input embeddings: species (and total charge) of the atoms, length and direction of the edges."""

from __future__ import annotations

import math
from functools import lru_cache, partial

import e3nn_jax as e3nn
import flax.linen as nn
import jax
import jax.numpy as jnp

from lammps_mace.graph import Graph
from lammps_mace.models.blocks.activation import activation
from lammps_mace.models.blocks.norms import safe_norm
from lammps_mace.models.mlip.config import MaceConfig, RadialEnvelope
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.mlip.shapes import num_species
from lammps_mace.models.options import Activation
from lammps_mace.runtime.precision import constants

_PREFACTOR_SAMPLES = 1000
ENVELOPE_POWER = 5


def envelope(distances: jax.Array, cutoff: float | jax.Array, kind: RadialEnvelope) -> jax.Array:
    """Return the cutoff function of ``distances`` (Å): 1 at 0, 0 from the cutoff on.

    Polynomial with p = 5: eq. (8) of Gasteiger et al., ICLR 2020 (arXiv:2003.03123); soft: the
    infinitely differentiable e3nn envelope.
    """
    if kind == RadialEnvelope.SOFT:
        return e3nn.soft_envelope(distances, cutoff, arg_multiplicator=2.0, value_at_origin=1.2)
    p, x = ENVELOPE_POWER, distances / cutoff
    poly = (
        1.0
        - (p + 1.0) * (p + 2.0) / 2.0 * x**p
        + p * (p + 2.0) * x ** (p + 1)
        - p * (p + 1.0) / 2.0 * x ** (p + 2)
    )
    return jnp.where(x < 1.0, poly, 0.0)


def radial_basis(
    distances: jax.Array, cutoff: float | jax.Array, num_rbf: int, kind: RadialEnvelope
) -> jax.Array:
    """Return Bessel functions times envelope, [n, num_rbf]; distances [n] in Å.

    Eq. (7) of Gasteiger et al., ICLR 2020 (arXiv:2003.03123).
    """
    bessel = e3nn.bessel(distances, num_rbf, cutoff)
    return bessel * envelope(distances, cutoff, kind)[:, None]


@lru_cache
def radial_prefactor(
    r_min: float | None, cutoff: float, num_rbf: int, kind: RadialEnvelope
) -> float:
    """Return 1 / rms of the radial basis on [r_min, cutoff], or 1 without ``r_min`` (Å).

    The sum is float32 whatever the model's precision: checkpoints were trained with that. Its
    factors are rounded from float64, as in mlip with float64; in mlip with float32 the last digit
    may differ.
    """
    if r_min is None:
        return 1.0
    with constants():
        return float(_mean_square(_samples(r_min, cutoff), cutoff, num_rbf, kind).item() ** -0.5)


# Two programs: one operation at a time it would take a second of each start. It is rounded as then
# because the cutoff is no constant of the programs, and the second fuses nothing.
@jax.jit
def _samples(r_min: float, cutoff: float) -> jax.Array:
    return jnp.linspace(r_min, cutoff, _PREFACTOR_SAMPLES, dtype=jnp.float32)


@partial(
    jax.jit,
    static_argnames=("num_rbf", "kind"),
    compiler_options={"xla_disable_hlo_passes": "fusion"},
)
def _mean_square(
    distances: jax.Array, cutoff: jax.Array, num_rbf: int, kind: RadialEnvelope
) -> jax.Array:
    return jnp.mean(radial_basis(distances, cutoff, num_rbf, kind) ** 2)


def radial_embedding(config: MaceConfig, info: DatasetInfo, distances: jax.Array) -> jax.Array:
    """Return the radial basis of a model at ``distances`` [n] (Å), [n, num_rbf]."""
    cutoff, kind = info.graph_cutoff_angstrom, config.radial_envelope
    factor = embedding_factor(config, info)
    return factor * radial_basis(distances, cutoff, config.num_rbf, kind)


def embedding_factor(config: MaceConfig, info: DatasetInfo) -> float:
    """Return what multiplies the radial basis of a model."""
    r_min = config.avg_r_min if config.avg_r_min is not None else info.avg_r_min_angstrom
    return radial_prefactor(
        r_min, info.graph_cutoff_angstrom, config.num_rbf, config.radial_envelope
    )


def harmonics(vectors: jax.Array, l_max: int) -> jax.Array:
    """Return the spherical harmonics of [n, 3] vectors, [n, (l_max+1)^2], component norm."""
    irreps = e3nn.Irreps.spherical_harmonics(l_max)
    return e3nn.spherical_harmonics(irreps, vectors, normalize=True).array


class SpeciesEmbedding(nn.Module):
    """A learned vector per index, scaled by 1/sqrt(number of indices)."""

    num_embeddings: int
    features: int

    def setup(self) -> None:
        init = nn.initializers.normal(1.0)
        self.embed = nn.Embed(self.num_embeddings, self.features, embedding_init=init)

    def __call__(self, index: jax.Array) -> jax.Array:
        """Return [n, features] for int [n]."""
        return self.embed.embedding[index] / math.sqrt(self.num_embeddings)


class ChargedSpeciesEmbedding(nn.Module):
    """Species and total charge, embedded, concatenated, projected and activated."""

    num_species: int
    num_charges: int
    features: int
    activation: Activation

    def setup(self) -> None:
        self.species_embedder = SpeciesEmbedding(self.num_species, self.features)
        self.charge_embedder = SpeciesEmbedding(self.num_charges, self.features)
        self.joint_embedding_projection = nn.Dense(self.features, use_bias=False)

    def __call__(self, species: jax.Array, charge_index: jax.Array) -> jax.Array:
        """Return [n, features] for two int [n]."""
        both = (self.species_embedder(species), self.charge_embedder(charge_index))
        return activation(self.activation)(
            self.joint_embedding_projection(jnp.concatenate(both, axis=-1))
        )


class MaceEmbeddingBlock(nn.Module):
    """Graph -> Graph: the first features of nodes and edges.

    Adds ``nodes.features['embedding']`` [n_nodes, 1, num_channels],
    ``edges.features['radial_embedding']`` [n_edges, num_rbf] and
    ``edges.features['spherical_embedding']`` [n_edges, (l_max+1)^2].
    """

    config: MaceConfig
    dataset_info: DatasetInfo

    def setup(self) -> None:
        config, info = self.config, self.dataset_info
        n_species = num_species(config, info)
        if config.use_total_charge_embedding:
            # Index 0 stands for a charge that is not in the data.
            self.node_embedding_block = ChargedSpeciesEmbedding(
                n_species, len(info.total_charges) + 1, config.num_channels, config.embed_activation
            )
        else:
            self.node_embedding_block = SpeciesEmbedding(n_species, config.num_channels)

    def embed_species(self, species: jax.Array, charge_index: jax.Array | None) -> jax.Array:
        """Return [n, 1, num_channels] for int [n] species (and charge indices)."""
        indices = (species,) if charge_index is None else (species, charge_index)
        return self.node_embedding_block(*indices)[:, None, :]

    def embed_vectors(self, vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return radial [n, num_rbf] and spherical [n, (l_max+1)^2] embeddings of [n, 3] Å."""
        distances = safe_norm(vectors)
        radial = radial_embedding(self.config, self.dataset_info, distances)
        radial = jnp.where(distances[:, None] == 0.0, 0.0, radial)
        return radial, harmonics(vectors, self.config.l_max)

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph with the three features."""
        index = charge_index(self.config, self.dataset_info, graph)
        radial, spherical = self.embed_vectors(graph.edge_vectors())
        graph = graph.with_node_features(embedding=self.embed_species(graph.nodes.species, index))
        return graph.with_edge_features(radial_embedding=radial, spherical_embedding=spherical)


def charge_index(config: MaceConfig, info: DatasetInfo, graph: Graph) -> jax.Array | None:
    """Return the row of the charge embedding of each node, int32 [n_nodes], or None.

    Raises:
        ValueError: the model embeds the total charge and the graph has none.
    """
    if not config.use_total_charge_embedding:
        return None
    if graph.globals.charge is None:
        raise ValueError("use_total_charge_embedding: the graph needs globals.charge; it is None")
    if not info.total_charges:
        return jnp.zeros(graph.n_nodes, jnp.int32)
    known = jnp.asarray(info.total_charges, graph.globals.charge.dtype)
    equal = graph.globals.charge[:, None] == known[None, :]
    rows = jnp.where(equal.any(axis=1), equal.argmax(axis=1) + 1, 0)
    return rows[graph.node_graph()]
