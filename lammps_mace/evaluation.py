"""Plain evaluation of a model in one process: the reference for everything else."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.graph import Edges, Globals, Graph, LongRange, Nodes
from lammps_mace.modelfile import Model, load_model
from lammps_mace.models import families
from lammps_mace.models.elements import SYMBOLS
from lammps_mace.runtime.jax_setup import find_devices
from lammps_mace.runtime.precision import full_precision

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Evaluation:
    """What a model says about one structure; float64.

    Attributes:
        energy: eV.
        forces: [n_atoms, 3], eV/Å.
        virial: [3, 3], eV: -dE/d(strain), the sum of r f over pairs; the sign of LAMMPS.
        energies: [n_atoms], eV.
        charges: [n_atoms], e; None for models without charges.
        volume: Å^3; None unless the structure is periodic in all directions.
    """

    energy: float
    forces: np.ndarray
    virial: np.ndarray
    energies: np.ndarray
    charges: np.ndarray | None
    volume: float | None

    @property
    def stress(self) -> np.ndarray | None:
        """dE/d(strain) / volume, [3, 3], eV/Å^3: the sign of ASE; None without a volume."""
        return None if self.volume is None else -self.virial / self.volume


@dataclass(frozen=True)
class Pairs:
    """Directed pairs within a cutoff, sorted by receiver.

    Attributes:
        senders, receivers: int32 [n_pairs].
        vectors: float64 [n_pairs, 3], r_receiver - r_sender of the right image, Å.
    """

    senders: np.ndarray
    receivers: np.ndarray
    vectors: np.ndarray


def evaluate(model: Model | str | os.PathLike[str], atoms: Atoms) -> Evaluation:
    """Return energy, forces, virial, per-atom energies and charges of a structure.

    Args:
        model: a model, or the path of X.model.
        atoms: ASE Atoms: any cell, periodic in none, some or all directions.

    Raises:
        ValueError: the structure has an element that the model (or its head) does not know, or
            a periodic direction without a cell vector; or JAX has no device.
    """
    return Evaluator(model).evaluate(atoms)


class Evaluator:
    """A model that evaluates one structure after the other; compiles once per size."""

    def __init__(self, model: Model | str | os.PathLike[str]) -> None:
        self.model = model if isinstance(model, Model) else load_model(model)
        find_devices()  # before anything else: says why there is none
        with full_precision():
            self.network = families.network_energies(self.model)
        self._function = jax.jit(jax.value_and_grad(self._energy, argnums=(1, 2), has_aux=True))

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """Return the properties of a structure; see :func:`evaluate`."""
        species = species_of(self.model, atoms)
        near, far = self._pairs(atoms)
        with full_precision():
            dtype = np.dtype(self.model.dtype)
            params = jax.tree.map(lambda x: jnp.asarray(x, dtype), self.network.parameters)
            graph = self._graph(species, near, far)
            vectors = near.vectors.astype(dtype), far.vectors.astype(dtype)
            (_, (energies, charges)), gradients = self._function(params, *vectors, graph)
            gradients = [np.asarray(gradient, np.float64) for gradient in gradients]
        forces = np.sum(
            [pair_forces(g, p, len(species)) for g, p in zip(gradients, (near, far), strict=True)],
            axis=0,
        )
        virial = -sum(g.T @ pairs.vectors for g, pairs in zip(gradients, (near, far), strict=True))
        energies = np.asarray(energies, np.float64) + self.network.atomic_energies[species]
        return Evaluation(
            energy=float(energies.sum()),
            forces=forces,
            virial=0.5 * (virial + virial.T),
            energies=energies,
            charges=None if charges is None else np.asarray(charges, np.float64),
            volume=float(atoms.get_volume()) if all(atoms.pbc) else None,
        )

    def _energy(self, params: Any, near: jax.Array, far: jax.Array, graph: Graph) -> Any:
        pairs = replace(graph.long_range_pairs(), edges=Edges(vectors=far))
        graph = replace(graph, edges=Edges(vectors=near), long_range=pairs)
        energies, charges = self.network.function(params, graph)
        return jnp.sum(energies), (energies, charges)

    def _pairs(self, atoms: Atoms) -> tuple[Pairs, Pairs]:
        near = find_pairs(atoms, families.facts(self.model).cutoff_angstrom)
        charges = families.partial_charges(self.model)
        cutoff = None if charges is None else charges.coulomb_cutoff
        if cutoff is None:
            empty = np.zeros(0, np.int32)
            return near, Pairs(empty, empty, np.zeros((0, 3)))
        return near, find_pairs(atoms, cutoff)

    def _graph(self, species: np.ndarray, near: Pairs, far: Pairs) -> Graph:
        charge, head = self.model.total_charge, self.model.head
        return Graph(
            nodes=Nodes(species=jnp.asarray(species)),
            edges=Edges(),
            senders=jnp.asarray(near.senders),
            receivers=jnp.asarray(near.receivers),
            n_node=jnp.asarray([len(species)], jnp.int32),
            globals=Globals(
                charge=None if charge is None else jnp.asarray([charge], self.model.dtype),
                head=jnp.asarray([head], jnp.int32),
            ),
            long_range=LongRange(Edges(), jnp.asarray(far.senders), jnp.asarray(far.receivers)),
        )


def species_of(model: Model, atoms: Atoms) -> np.ndarray:
    """Return the species of atoms in a model, int32 [n_atoms].

    Raises:
        ValueError: the model (or its head) does not know an element.
    """
    facts = families.facts(model)
    rows = {SYMBOLS.index(symbol) + 1: row for row, symbol in enumerate(facts.elements)}
    numbers = atoms.numbers.tolist()
    known = {SYMBOLS.index(symbol) + 1 for symbol in facts.known_elements}
    if unknown := sorted(set(numbers) - known):
        names = " ".join(SYMBOLS[z - 1] if 0 < z <= len(SYMBOLS) else f"Z={z}" for z in unknown)
        raise ValueError(
            f"atoms: the model does not know the elements {names}; it knows "
            f"{' '.join(facts.known_elements)}"
        )
    return np.array([rows[number] for number in numbers], np.int32)


def pair_forces(gradient: np.ndarray, pairs: Pairs, n_atoms: int) -> np.ndarray:
    """Return the forces [n_atoms, 3] that follow from dE/d vectors of pairs."""
    # d = r_receiver - r_sender, so f_receiver -= dE/dd and f_sender += dE/dd.
    sums = [
        np.bincount(pairs.senders, one, n_atoms) - np.bincount(pairs.receivers, one, n_atoms)
        for one in gradient.T
    ]
    return np.stack(sums, axis=1)


def find_pairs(atoms: Atoms, cutoff: float) -> Pairs:
    """Return all pairs of atoms and images closer than ``cutoff`` (Å), both directions.

    Raises:
        ValueError: a periodic direction has no cell vector, or a number is not finite.
    """
    centers, others, vectors = search_pairs(atoms, cutoff, "ijD")
    near: Any = np.einsum("pi,pi->p", vectors, vectors) < cutoff**2
    return Pairs(
        senders=others[near].astype(np.int32),
        receivers=centers[near].astype(np.int32),
        vectors=-vectors[near],
    )


def search_pairs(atoms: Atoms, cutoff: float, quantities: str) -> tuple[np.ndarray, ...]:
    """Return all pairs at most ``cutoff`` (Å) apart, both directions, sorted by the first atom.

    Args:
        quantities: of each pair, in vesin's letters: i and j, its atoms; D, r_j - r_i of the right
            image; S, whole cells that this image of j is away.

    Raises:
        ValueError: a periodic direction has no cell vector, or a number is not finite.
    """
    positions, cell = np.asarray(atoms.positions, np.float64), np.array(atoms.cell)
    if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
        raise ValueError("atoms: a position or a cell vector is not finite")
    found: tuple[np.ndarray, ...] = (
        _vesin()
        .NeighborList(cutoff=cutoff, full_list=True, sorted=True, n_threads=1)
        .compute(
            points=positions,
            box=complete_cell(cell, np.array(atoms.pbc)),
            periodic=np.array(atoms.pbc, dtype=bool),
            quantities=quantities,
        )
    )
    return found


def _vesin() -> Any:
    """Return the module, kept from importing torch: that takes seconds and nothing uses it."""
    hides = not {"vesin", "torch"} & sys.modules.keys()
    if hides:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("vesin")
    finally:
        if hides:
            del sys.modules["torch"]


def complete_cell(cell: np.ndarray, periodic: np.ndarray) -> np.ndarray:
    """Return a cell with any vector, at right angles to the others, where there is none."""
    given = np.linalg.norm(cell, axis=1) > 0
    if (periodic & ~given).any():
        raise ValueError(f"atoms: pbc={periodic.tolist()}, but a periodic cell vector is zero")
    cell = np.where(periodic[:, None], cell, 0.0)
    # The rows of vh beyond the rank are orthogonal to all cell vectors.
    missing = np.linalg.svd(cell)[2][int(periodic.sum()) :]
    out = cell.copy()
    out[~periodic] = missing
    return out
