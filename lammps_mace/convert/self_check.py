"""A converted model checks itself: as it will run, against its network in float64."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
from ase import Atoms

from lammps_mace.convert.torch.source_model import SourceModel
from lammps_mace.engine.interface import DomainGraph, NoExchange
from lammps_mace.errors import ConvertError
from lammps_mace.evaluation import Evaluator, Pairs, find_pairs, pair_forces
from lammps_mace.lowering.build import build_engine
from lammps_mace.models import families
from lammps_mace.models.elements import SYMBOLS
from lammps_mace.models.model import Model
from lammps_mace.models.torch.config import Basis

LIMITS = {"float64": 1e-9, "float32": 2e-4}  # of the largest force
_MOST_ELEMENTS = 8
_SPACING, _NEAREST = 2.2, 1.1  # Å: of the crystal, and in the disordered structure
_SHAKEN = 0.1  # Å


def self_check(model: Model) -> list[str]:
    """Compare energy and forces of two structures; return lines that tell the differences.

    Raises:
        ConvertError: they differ by more than ``LIMITS``.
    """
    model = _few_elements(model)
    symbols = families.facts(model).known_elements
    engine, plain = build_engine(model), Evaluator(replace(model, dtype="float64"))
    lines = [f"checked with {' '.join(symbols)} against the network in float64:"]
    for name, atoms in structures(symbols).items():
        graph, pairs = _graph(model, atoms)
        prediction, exact = engine.evaluate(graph, NoExchange()), plain.evaluate(atoms)
        # The engine's displacements have the opposite sign of vectors.
        forces = pair_forces(-prediction.pair_gradient, pairs, len(atoms))
        energy = abs(prediction.energy - exact.energy) / len(atoms)
        largest = np.abs(exact.forces).max()
        force = np.abs(forces - exact.forces).max()
        lines.append(f"  {name}: energy {energy:.1e} eV/atom, forces {force / largest:.1e}")
        limit = LIMITS[model.dtype]
        if not force <= limit * largest:
            raise ConvertError(
                f"the forces of the converted model differ by {force / largest:.2g} of the largest "
                f"from its network ({name}); at most {limit:g} is right. Nothing was written; "
                "--dtype float64 or --exact-radial may help, and we want to know of this model"
            )
    return lines


def verify_against_torch(
    model: Model, source: str | os.PathLike[str], number: int | None = None
) -> list[str]:
    """Compare the network in float64 with the checkpoint itself, run by torch; as above.

    Args:
        number: of the model, where the checkpoint is a list of models.

    Raises:
        ConvertError: they differ by more than ``LIMITS``, or torch cannot run the checkpoint.
    """
    model = _few_elements(model)
    plain, torch = Evaluator(replace(model, dtype="float64")), SourceModel(source, model, number)
    lines = ["verified against torch, which unpickled the file:"]
    for name, atoms in structures(families.facts(model).known_elements).items():
        found, exact = plain.evaluate(atoms), torch.evaluate(atoms)
        largest = np.abs(exact.forces).max()
        force = np.abs(found.forces - exact.forces).max()
        energy = abs(found.energy - exact.energy) / len(atoms)
        lines.append(f"  {name}: energy {energy:.1e} eV/atom, forces {force / largest:.1e}")
        limit = LIMITS[model.dtype]
        if model.config.radial.basis is Basis.CHEBYSHEV:  # torch does not differentiate these
            force = 0.0
        if not (force <= limit * largest and energy <= limit * (1 + abs(exact.energy))):
            raise ConvertError(
                f"the converted network differs from torch by {energy:.2g} eV/atom and "
                f"{force / largest:.2g} of the largest force ({name}); at most {limit:g} is right. "
                "Nothing was written, and we want to know of this model"
            )
    return lines


def _few_elements(model: Model) -> Model:
    facts = families.facts(model)
    known = [facts.elements.index(symbol) for symbol in facts.known_elements]
    few = np.unique(np.linspace(0, len(known) - 1, _MOST_ELEMENTS).round().astype(int))
    return families.select_elements(model, [known[i] for i in few])


def structures(symbols: tuple[str, ...]) -> dict[str, Atoms]:
    """Return a shaken crystal and a disordered structure with short distances."""
    dice = np.random.default_rng(0)
    sites = np.indices((3, 3, 2)).reshape(3, -1).T
    size = np.array([3, 3, 2]) * _SPACING
    crystal = sites * _SPACING + dice.uniform(-_SHAKEN, _SHAKEN, (len(sites), 3))
    box = 0.9 * size
    disordered: list[np.ndarray] = []
    while len(disordered) < len(sites):
        new = dice.uniform(0.0, box)
        apart = [np.linalg.norm((new - old + box / 2) % box - box / 2) for old in disordered]
        if min(apart, default=_NEAREST) >= _NEAREST:
            disordered.append(new)
    numbers = [SYMBOLS.index(symbol) + 1 for symbol in np.resize(symbols, len(sites))]
    return {
        "crystal": Atoms(numbers, crystal, cell=size, pbc=True),
        "disordered": Atoms(dice.permutation(numbers), disordered, cell=box, pbc=True),
    }


def _graph(model: Model, atoms: Atoms) -> tuple[DomainGraph, Pairs]:
    facts = families.facts(model)
    pairs = find_pairs(atoms, facts.cutoff_angstrom)
    species = [facts.elements.index(symbol) for symbol in atoms.symbols]
    offsets = np.searchsorted(pairs.receivers, np.arange(len(atoms) + 1))
    graph = DomainGraph(
        np.array(species, np.int32), offsets.astype(np.int64), pairs.senders, -pairs.vectors,
        one_domain=True,
    )  # fmt: skip
    return graph, pairs
