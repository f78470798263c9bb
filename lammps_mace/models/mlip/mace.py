"""The MACE network: embeddings, layers, energies (and charges) per atom."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from lammps_mace.graph import Graph
from lammps_mace.models.mlip.charges import coulomb_energies, neutralized
from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.mlip.embedding import MaceEmbeddingBlock
from lammps_mace.models.mlip.layer import MaceLayer


class Mace(nn.Module):
    """Graph -> Graph: node features ``energy`` [n_nodes], eV, and ``partial_charges``, e.

    Batatia et al., NeurIPS 2022 (arXiv:2206.07697), in the form of the mlip library, whose
    parameter names and normalisations it keeps.

    Attributes:
        config: hyper-parameters.
        dataset_info: cutoffs, scalings and atomic energies.
    """

    config: MaceConfig
    dataset_info: DatasetInfo

    def setup(self) -> None:
        config, info = self.config, self.dataset_info
        self.embedding_block = MaceEmbeddingBlock(config, info)
        self.layers = [MaceLayer(config, info, i) for i in range(config.num_layers)]

    def __call__(self, graph: Graph) -> Graph:
        """Return the graph with per-atom energies; padding gets exactly 0."""
        graph = self.embedding_block(graph)
        every = []
        for layer in self.layers:
            graph = layer(graph)
            every.append(graph.nodes.features["outputs"])
        outputs = _select_head(sum(every[1:], start=every[0]), graph)
        energy = scale_energies(outputs[:, 0], self.dataset_info)
        energy = energy + self._atomic_energies(graph, energy.dtype)
        if self.config.predict_partial_charges:
            charges = neutralized(outputs[:, 1], graph)
            graph = graph.with_node_features(partial_charges=charges)
            if self.config.use_coulomb_term:
                energy = energy + coulomb_energies(charges, graph)
        return graph.with_node_features(energy=jnp.where(graph.node_mask(), energy, 0.0))

    def _atomic_energies(self, graph: Graph, dtype: jnp.dtype) -> jax.Array:
        if not self.config.add_atomic_energies:
            return jnp.zeros(graph.n_nodes, dtype)
        info = self.dataset_info
        n_maps = len(info.atomic_energies_map) if isinstance(info.atomic_energies_map, tuple) else 1
        table = jnp.asarray([atomic_energy_table(info, head) for head in range(n_maps)], dtype)
        head = _head_of_nodes(graph) if n_maps > 1 else 0
        return table[head, graph.nodes.species]


def scale_energies(energy: jax.Array, info: DatasetInfo) -> jax.Array:
    """Return network energies in eV: times the standard deviation, plus the mean."""
    return energy * info.scaling_stdev + info.scaling_mean


def atomic_energy_table(info: DatasetInfo, head: int = 0) -> list[float]:
    """Return the isolated-atom energies in species order, eV; nan where the head has none."""
    energies = info.atomic_energies(head)
    return [energies.get(number, float("nan")) for number in info.atomic_numbers]


def _head_of_nodes(graph: Graph) -> jax.Array | int:
    return 0 if graph.globals.head is None else graph.globals.head[graph.node_graph()]


def _select_head(outputs: jax.Array, graph: Graph) -> jax.Array:
    if graph.globals.head is None or outputs.shape[1] == 1:
        return outputs[:, 0]
    return outputs[jnp.arange(outputs.shape[0]), _head_of_nodes(graph)]
