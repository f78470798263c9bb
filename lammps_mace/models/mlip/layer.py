"""One MACE layer: interaction, product basis, skip connection, readout."""

from __future__ import annotations

import e3nn_jax as e3nn
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.graph import Graph
from lammps_mace.models.blocks.linear import Linear, SpeciesLinear, join, split
from lammps_mace.models.blocks.norms import bounded
from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.contraction import SymmetricContraction
from lammps_mace.models.mlip.contraction_e3j import SymmetricContractionE3J
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.mlip.gaunt import GauntInteraction, GauntSymmetricContraction
from lammps_mace.models.mlip.interaction import EdgeInputs, Interaction
from lammps_mace.models.mlip.readout import MultiHeadReadout
from lammps_mace.models.mlip.shapes import num_species


class ProductBasis(nn.Module):
    """Powers of the messages, optionally gated, and a linear map.

    Attributes:
        config: of the whole network.
        source, target: irreps of multiplicity 1.
        num_species: rows of the species tables.
    """

    config: MaceConfig
    source: e3nn.Irreps
    target: e3nn.Irreps
    num_species: int

    def setup(self) -> None:
        target = self.config.num_channels * e3nn.Irreps(self.target)
        self.symmetric_contraction = self._contraction()
        self.linear_block = Linear(target, target)

    def _contraction(self) -> nn.Module:
        config = self.config
        sizes = (
            self.source, self.target, config.correlation, self.num_species, config.num_channels,
        )  # fmt: skip
        backend = config.symmetric_contraction_backend
        if backend == "e3j":
            return SymmetricContractionE3J(*sizes)
        if backend == "gaunt_tp":
            return GauntSymmetricContraction(*sizes)
        return SymmetricContraction(*sizes, symmetric=backend == "e3nn_symmetric")

    @nn.compact
    def __call__(self, features: jax.Array, species: jax.Array) -> jax.Array:
        """Return [n, target dim, channels] for [n, source dim, channels]."""
        features = self.symmetric_contraction(features, species)
        if self.config.gate_nodes:
            features = features * self._gates(features[:, 0], species)
        return join(self.linear_block(split(features, self.target)), self.target)

    def _gates(self, scalars: jax.Array, species: jax.Array) -> jax.Array:
        # One gate per irrep and channel, an affine function of the scalars with species weights.
        channels, n_gates = scalars.shape[1], len(self.target) * scalars.shape[1]
        weight = self.param(
            "species_wise_gate_weights",
            nn.initializers.normal(channels**-0.5),
            (self.num_species, channels, n_gates),
        )
        bias = self.param(
            "species_wise_gate_bias", nn.initializers.normal(), (self.num_species, n_gates)
        )
        weight, bias = weight.astype(scalars.dtype), bias.astype(scalars.dtype)
        gates = jnp.einsum("nc,ncg->ng", scalars, weight[species]) + bias[species]
        gates = gates.reshape(-1, len(self.target), channels)
        return jnp.repeat(gates, np.array([ir.dim for _, ir in self.target]), axis=1)


def readout(config: MaceConfig, irreps: e3nn.Irreps, last: bool) -> MultiHeadReadout:
    """Return the readout of a layer whose features have these irreps, multiplicity 1 each."""
    hidden, output = (e3nn.Irreps(text) for text in config.readout_irreps)
    if config.predict_partial_charges:
        output = (output + e3nn.Irreps("1x0e")).simplify()
    source = config.num_channels * irreps
    if not last:
        return MultiHeadReadout(config.num_readout_heads, source, (output,))
    n_vectors = hidden.filter(drop=["0e", "0o"]).num_irreps
    hidden = (hidden + e3nn.Irreps(f"{n_vectors}x0e")).simplify()
    return MultiHeadReadout(config.num_readout_heads, source, (hidden, output), config.activation)


class MaceLayer(nn.Module):
    """Graph -> Graph: one round of messages.

    The two halves, :meth:`send` and :meth:`update`, are what the engine calls: between them the
    features of atoms that another rank owns have to be fetched.

    Attributes:
        config, dataset_info: of the whole network.
        index: position of the layer, from 0.
    """

    config: MaceConfig
    dataset_info: DatasetInfo
    index: int

    @property
    def last(self) -> bool:
        """Whether this is the last layer, which keeps scalars only."""
        return self.index == self.config.num_layers - 1

    @property
    def source_irreps(self) -> e3nn.Irreps:
        """Irreps that enter the layer."""
        node = e3nn.Irreps.spherical_harmonics(self.config.node_symmetry)
        return e3nn.Irreps("0e") if self.index == 0 else node

    @property
    def message_irreps(self) -> e3nn.Irreps:
        """Irreps of the sums of messages."""
        if self.config.include_pseudotensors:
            return e3nn.Irreps(e3nn.Irrep.iterator(self.config.l_max))
        return e3nn.Irreps.spherical_harmonics(self.config.l_max)

    @property
    def target_irreps(self) -> e3nn.Irreps:
        """Irreps that leave the layer."""
        node = e3nn.Irreps.spherical_harmonics(self.config.node_symmetry)
        return e3nn.Irreps("0e") if self.last else node

    @property
    def has_residual(self) -> bool:
        """Whether the layer has a skip connection (else a linear map per species)."""
        return self.index > 0 or self.config.residual_connection_first_layer

    def setup(self) -> None:
        config, channels = self.config, self.config.num_channels
        species = num_species(config, self.dataset_info)
        source, messages = self.source_irreps, self.message_irreps
        self.interaction_block = self._interaction()
        self.expansion_block = ProductBasis(config, messages, self.target_irreps, species)
        if self.has_residual:
            self.residual_block = SpeciesLinear(
                channels * source, channels * self.target_irreps, species
            )
        else:
            self.linear_by_species_block = SpeciesLinear(
                channels * messages, channels * messages, species
            )
        self.readout_block = readout(config, self.target_irreps, self.last)

    def _interaction(self) -> nn.Module:
        config, info = self.config, self.dataset_info
        interaction = GauntInteraction if config.use_gaunt_tp_message_passing else Interaction
        return interaction(
            source=self.source_irreps,
            target=self.message_irreps,
            num_channels=config.num_channels,
            l_max=config.l_max,
            radial_mlp_hidden=config.radial_mlp_hidden,
            radial_mlp_activation=config.radial_mlp_activation,
            avg_num_neighbors=config.avg_num_neighbors or info.avg_num_neighbors,
            deterministic=config.deterministic_scatter_ops,
            **self._pair_options(),
        )

    def _pair_options(self) -> dict[str, int]:
        if not self.config.species_pair_scaling:
            return {}
        return {"num_pair_species": num_species(self.config, self.dataset_info)}

    def send(self, latent: jax.Array) -> jax.Array:
        """Return what atoms send to their neighbours, [n, source dim, channels]."""
        return self.interaction_block.send(latent)

    def update(
        self, latent: jax.Array, sent: jax.Array, species: jax.Array, edges: EdgeInputs
    ) -> tuple[jax.Array, jax.Array]:
        """Return the new features and the readout of the atoms that receive.

        Args:
            latent: [n, source dim, channels], features of the receiving atoms.
            sent: [n_edges, source dim, channels], what the sender of each edge has sent.
            species: int [n], of the receiving atoms.
            edges: the receivers index ``latent``.

        Returns:
            [n, target dim, channels] and [n, num_heads, n_outputs].
        """
        blocks = self.interaction_block.receive(sent, edges, latent.shape[0])
        if not self.has_residual:
            blocks = self.linear_by_species_block(blocks, species)
        new = self.expansion_block(join(blocks, self.message_irreps), species)
        if self.config.soft_normalization is not None:
            new = bounded(new, self.target_irreps, self.config.soft_normalization)
        if self.has_residual:
            skip = self.residual_block(split(latent, self.source_irreps), species)
            new = new + join(skip, self.target_irreps)
        return new, self.readout_block(split(new, self.target_irreps))

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph with node features ``latent`` and ``outputs`` updated.

        Needs the edge features of :class:`MaceEmbeddingBlock`; starts from the node feature
        ``latent``, or ``embedding`` in the first layer.
        """
        features = graph.nodes.features
        latent = features.get("latent", features["embedding"])
        edges = EdgeInputs(
            graph.edges.features["radial_embedding"],
            graph.edges.features["spherical_embedding"],
            graph.receivers,
            graph.edges.mask,
            graph.nodes.species[graph.senders],
            graph.nodes.species[graph.receivers],
        )
        sent = self.send(latent)[graph.senders]
        new, outputs = self.update(latent, sent, graph.nodes.species, edges)
        return graph.with_node_features(latent=new, outputs=outputs)
