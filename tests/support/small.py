"""Small random models and structures for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace import DatasetInfo, Graph, Mace, MaceConfig, Model, save_model
from lammps_mace.engine.interface import DomainGraph
from lammps_mace.graph import Edges, Globals, LongRange, Nodes
from lammps_mace.lowering.radial_splines import Splines
from lammps_mace.lowering.species_pairs import SpeciesPairs
from lammps_mace.lowering.spline_cache import SplineRequest, splines
from lammps_mace.models import families

CUTOFF = 4.0
ELEMENTS = {8: -2.0, 14: 0.5}  # O and Si, isolated-atom energies in eV

SMALL = {
    "num_channels": 4,
    "l_max": 2,
    "node_symmetry": 1,
    "correlation": 2,
    "readout_irreps": ("4x0e", "0e"),
    "radial_mlp_hidden": (8,),
    "num_rbf": 4,
    "symmetric_contraction_backend": "e3nn_symmetric",
}


@dataclass(frozen=True)
class Structure:
    """A periodic box of atoms with all pairs closer than CUTOFF.

    Attributes:
        positions: [n, 3], Å; cell: [3, 3], rows are vectors.
        species: int32 [n]; centres, neighbours: [n_pairs]; vectors: [n_pairs, 3], r_j - r_i.
    """

    positions: np.ndarray
    cell: np.ndarray
    species: np.ndarray
    centres: np.ndarray
    neighbours: np.ndarray
    vectors: np.ndarray

    def graph(self, vectors: np.ndarray | None = None) -> Graph:
        """Return the graph of the structure; the centre receives."""
        vectors = self.vectors if vectors is None else vectors
        return Graph(
            Nodes(jnp.asarray(self.species)),
            Edges(vectors=-jnp.asarray(vectors)),
            jnp.asarray(self.neighbours, jnp.int32),
            jnp.asarray(self.centres, jnp.int32),
            jnp.asarray([len(self.species)], jnp.int32),
        )


def make_structure(n_cells: int = 1, rattle: float = 0.2, seed: int = 0) -> Structure:
    """Return a shaken diamond crystal of n_cells^3 * 8 atoms, two elements at random."""
    rng = np.random.default_rng(seed)
    base = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0]])
    base = np.concatenate([base, base + 1]) * 5.43 / 4
    corners = np.stack(np.meshgrid(*[np.arange(n_cells)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = (corners[:, None] * 5.43 + base).reshape(-1, 3)
    positions = positions + rng.normal(scale=rattle, size=positions.shape)
    cell = np.eye(3) * 5.43 * n_cells
    species = rng.integers(0, len(ELEMENTS), len(positions)).astype(np.int32)
    return Structure(positions, cell, species, *find_pairs(positions, cell, CUTOFF))


def domain_graph(structure) -> DomainGraph:
    """Return the pairs of a structure as the engine takes them, in one domain."""
    n = len(structure.species)
    return DomainGraph(
        species=structure.species,
        offsets=np.searchsorted(structure.centres, np.arange(n + 1)),
        senders=structure.neighbours.astype(np.int32),
        displacements=structure.vectors,
        one_domain=True,
    )


def find_pairs(positions, cell, cutoff):
    """Return centres, neighbours and vectors of all periodic pairs, by trying every image."""
    reach = np.ceil(cutoff / np.abs(np.linalg.det(cell)) ** (1 / 3)).astype(int) + 1
    steps = np.arange(-reach, reach + 1)
    shifts = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3) @ cell
    vectors = positions[None, :, None] - positions[:, None, None] + shifts
    distance = np.linalg.norm(vectors, axis=-1)
    centres, neighbours, image = np.nonzero((distance < cutoff) & (distance > 1e-9))
    return centres, neighbours, vectors[centres, neighbours, image]


def make_model(
    dtype: str = "float64",
    seed: int = 0,
    info: dict | None = None,
    total_charge: int | None = None,
    exact_radial: bool = False,
    **config,
) -> Model:
    """Return a model with random weights; ``config`` and ``info`` change the small default."""
    full = MaceConfig(**{**SMALL, **config})
    data = {
        "atomic_energies_map": ELEMENTS,
        "graph_cutoff_angstrom": CUTOFF,
        "avg_num_neighbors": 10.0,
        "scaling_stdev": 1.3,
        "scaling_mean": 0.1,
    }
    dataset_info = DatasetInfo(**{**data, **(info or {})})
    graph = make_structure().graph()
    pairs = LongRange(graph.edges, graph.senders, graph.receivers)
    graph = graph.replace(globals=Globals(charge=jnp.zeros(1)), long_range=pairs)
    network = Mace(full, dataset_info)
    shapes = jax.eval_shape(network.init, jax.random.PRNGKey(0), graph)["params"]
    rng = np.random.default_rng(seed)
    # Float64 weights, so that float64 tests are not limited by float32 products of weights.
    params = jax.tree.map(lambda s: rng.normal(size=s.shape), shapes)
    return Model(
        full, dataset_info, params, dtype=dtype, total_charge=total_charge,
        exact_radial=exact_radial,
    )  # fmt: skip


def write_model(path: Path, model: Model) -> Path:
    """Write the model's files."""
    return save_model(
        path, model.config, model.dataset_info, model.params, dtype=model.dtype,
        total_charge=model.total_charge, write_charges=model.write_charges,
        exact_radial=model.exact_radial,
    )  # fmt: skip


def energy_and_gradient(model: Model, structure: Structure):
    """Return the energy (eV) and dE/d(vectors) of Mace itself, in float64."""
    network = Mace(model.config, model.dataset_info)
    params = jax.tree.map(jnp.asarray, model.params)

    def energy(vectors):
        graph = network.apply({"params": params}, structure.graph(vectors))
        return graph.nodes.features["energy"].sum()

    value, gradient = jax.jit(jax.value_and_grad(energy))(jnp.asarray(structure.vectors))
    return float(value), np.asarray(gradient)


def splines_of(model: Model) -> Splines | None:
    """Return the splines of the first layer, without its normalization."""
    description, n_species = families.describe(model), len(ELEMENTS)
    radial = description.layers[0].radial
    pairs = SpeciesPairs.of(radial, n_species)
    return splines(SplineRequest(radial, description.cutoff, pairs, description.dtype))
