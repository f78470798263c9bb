"""The centroid virial by brute force: energies of single atoms, differentiated one by one."""

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms

from lammps_mace.engine.interface import DomainGraph
from lammps_mace.evaluation import find_pairs, species_of
from lammps_mace.graph import Edges, Globals, Graph, LongRange, Nodes
from lammps_mace.models import families


def brute_force(model, atoms, layers):
    """Return W_j = sum_i (r_i - r_j) (x) dU_i/dr_j, [n, 3, 3], eV, with i and j in all images.

    The periodic structure is cut open: no atom of the cluster has images. The energies of the
    atoms of one cell depend on what is at most ``layers`` cutoffs away.
    """
    cluster, owners, home = _cluster(atoms, layers * families.facts(model).cutoff_angstrom)
    energies = jax.jit(jax.jacrev(_energies(model, cluster, home)))
    gradient = np.asarray(energies(cluster.positions))
    apart = cluster.positions[home][:, None] - cluster.positions
    virial = np.zeros((len(atoms), 3, 3))
    np.add.at(virial, owners, np.einsum("ija,ijb->jab", apart, gradient))
    return virial


def two_body(graph, gradient):
    """Return half of each pair's virial for each of its atoms, [n, 3, 3]: stress/atom."""
    receivers = np.repeat(np.arange(graph.n_local), np.diff(graph.offsets))
    halves = -0.5 * np.einsum("pa,pb->pab", graph.displacements, gradient)
    virial = np.zeros((graph.n_local, 3, 3))
    np.add.at(virial, receivers, halves)
    np.add.at(virial, graph.senders, halves)
    return virial


def domain_graph_of(model, atoms, positions=None):
    """Return the pairs of a structure as the engine takes them, in one domain."""
    pairs = find_pairs(atoms, families.facts(model).cutoff_angstrom)
    return DomainGraph(
        species=species_of(model, atoms),
        offsets=np.searchsorted(pairs.receivers, np.arange(len(atoms) + 1)),
        senders=pairs.senders, displacements=-pairs.vectors, one_domain=True, positions=positions,
    )  # fmt: skip


def _cluster(atoms, reach):
    """Return atoms in no box, the atom that each is an image of, and those of the cell itself."""
    cell, n = np.array(atoms.cell), len(atoms)
    spans = [0, 0, 0]
    if atoms.pbc.any():
        heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
        spans = np.ceil(reach / heights).astype(int) + 1
    steps = [np.arange(-span, span + 1) for span in spans]
    images = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3)
    places = (atoms.positions + (images @ cell)[:, None]).reshape(-1, 3)
    owners = np.tile(np.arange(n), len(images))
    home = np.repeat((images == 0).all(axis=1), n)
    distances = np.linalg.norm(places[:, None] - atoms.positions, axis=-1).min(axis=1)
    kept = home | (distances < reach)
    cluster = Atoms(np.asarray(atoms.numbers)[owners[kept]], places[kept])
    return cluster, owners[kept], np.flatnonzero(home[kept])


def _energies(model, cluster, chosen):
    """Return positions -> network energies of the chosen atoms."""
    network = families.network_energies(model)
    params = jax.tree.map(lambda x: jnp.asarray(x, model.dtype), network.parameters)
    species = species_of(model, cluster)
    pairs = find_pairs(cluster, families.facts(model).cutoff_angstrom)
    senders, receivers = jnp.asarray(pairs.senders), jnp.asarray(pairs.receivers)
    nobody = LongRange(Edges(jnp.zeros((0, 3))), jnp.zeros(0, jnp.int32), jnp.zeros(0, jnp.int32))

    def energies(positions):
        graph = Graph(
            Nodes(species=jnp.asarray(species)), Edges(positions[receivers] - positions[senders]),
            senders, receivers, jnp.asarray([len(species)], jnp.int32),
            Globals(head=jnp.asarray([model.head], jnp.int32)), nobody,
        )  # fmt: skip
        return network.function(params, graph)[0][chosen]

    return energies
