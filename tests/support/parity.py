"""Configurations and structures on which we are compared with mlip."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import ase
import jax
import numpy as np
from oracle import Oracle, Truth

from lammps_mace import DatasetInfo, MaceConfig
from lammps_mace.convert.mlip_0_2 import IGNORED_BY_MLIP
from lammps_mace.evaluation import Evaluation, Evaluator
from lammps_mace.models.mlip.shapes import parameter_shapes

ELEMENTS = (1, 6, 8, 14, 17, 22, 26, 29, 47, 79)

# Small, so that compiling it takes seconds; the options under test come on top.
SMALL: dict[str, Any] = {
    "num_channels": 3,
    "l_max": 1,
    "node_symmetry": 1,
    "correlation": 2,
    "readout_irreps": ["4x0e", "0e"],
    "radial_mlp_hidden": [8],
    "num_rbf": 4,
}


@dataclass(frozen=True)
class Case:
    """A configuration with a structure: everything that decides the numbers.

    Attributes:
        config, info: of mlip.
        shape: of the structure, a key of SHAPES.
        n_elements: of the model; the structure holds at most four of them.
        charge, head: of the simulation; None where the model has no such thing.
        seed: of weights and positions.
    """

    config: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    shape: str = "triclinic"
    n_elements: int = 2
    charge: int | None = None
    head: int | None = None
    seed: int = 0

    @property
    def full_config(self) -> dict[str, Any]:
        """Return the configuration on top of the small one."""
        return {**SMALL, **self.config}

    @property
    def full_info(self) -> dict[str, Any]:
        """Return the data set statistics on top of the usual ones."""
        energies = {z: -0.1 * z - 0.5 for z in ELEMENTS[: self.n_elements]}
        usual = {
            "atomic_energies_map": energies,
            "graph_cutoff_angstrom": 3.0,
            "avg_num_neighbors": 12.0,
        }
        return {**usual, **self.info}

    @property
    def atoms(self) -> ase.Atoms:
        """Return the structure."""
        rng = np.random.default_rng(self.seed)
        cell, periodic, n = SHAPES[self.shape]
        positions = _apart(rng, np.array(cell), n)
        numbers = rng.choice(ELEMENTS[: self.n_elements], n)
        return ase.Atoms(numbers=numbers, positions=positions, cell=cell, pbc=periodic)


# cell, periodic directions, atoms; every cell is shorter than twice the cutoff.
SHAPES: dict[str, tuple[Any, Any, int]] = {
    "orthogonal": ([[4.4, 0, 0], [0, 3.7, 0], [0, 0, 4.9]], (True, True, True), 6),
    "triclinic": ([[4.1, 0, 0], [0.9, 3.9, 0], [-0.8, 1.1, 4.4]], (True, True, True), 5),
    "rotated": ([[0.3, 4.1, 0], [3.9, 0.7, -1.0], [-0.4, 0.6, -4.4]], (True, True, True), 5),
    "one atom": ([[2.0, 0, 0], [0.4, 2.1, 0], [0.3, -0.2, 2.2]], (True, True, True), 1),
    "slab": ([[4.2, 0, 0], [1.0, 4.0, 0], [0, 0, 9.0]], (True, True, False), 6),
    "molecule": ([[6.0, 0, 0], [0, 6.0, 0], [0, 0, 6.0]], (False, False, False), 7),
}


def _apart(rng: np.random.Generator, cell: np.ndarray, n: int) -> np.ndarray:
    """Return n random positions in the cell, no two closer than 0.9 Å where that is possible."""
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 3) @ cell
    found: list[np.ndarray] = []
    while len(found) < n:
        new = rng.random(3) @ cell
        distances = [np.linalg.norm(new - old + shifts, axis=1).min() for old in found]
        if all(distance > 0.9 for distance in distances):
            found.append(new)
    return np.array(found)


class _Dice:
    """Random choices of one seed, each a draw of its generator."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def pick(self, *values: Any) -> Any:
        return values[self.rng.integers(len(values))]

    def sometimes(self, probability: float = 0.3) -> bool:
        return bool(self.rng.random() < probability)


def random_case(seed: int) -> Case:
    """Return a combination of options; every field of the configuration occurs."""
    dice = _Dice(seed)
    config = _random_config(dice)
    heads, coulomb = config["num_readout_heads"], config["use_coulomb_term"]
    n_elements = dice.pick(1, 2, 3, 4, 10)
    info = _random_info(dice, coulomb)
    if several := dice.sometimes():
        count = max(heads, 2)
        info["dataset_name"] = [f"set{i}" for i in range(count)]
        info["atomic_energies_map"] = [
            {z: -0.1 * z + i for z in ELEMENTS[:n_elements]} for i in range(count)
        ]
    charged = config["predict_partial_charges"] or config["use_total_charge_embedding"]
    return Case(
        config, info, dice.pick(*SHAPES), n_elements,
        charge=dice.pick(-1, 0, 2) if charged or coulomb else None,
        head=int(dice.rng.integers(max(heads, 2 if several else 1))),
        seed=seed,
    )  # fmt: skip


def _random_config(dice: _Dice) -> dict[str, Any]:
    pick, sometimes = dice.pick, dice.sometimes
    l_max = pick(0, 1, 1, 1, 1, 2, 2, 3)
    acts = ("silu", "elu", "relu", "tanh", "sigmoid", "swish", "none")
    gaunt_messages = sometimes(0.25)
    backend = pick("e3j", "e3j", "e3nn", "e3nn_symmetric", "gaunt_tp")
    pseudo = sometimes() and not gaunt_messages and backend != "gaunt_tp"
    heads, charged, coulomb, embed = pick(1, 1, 2, 3), sometimes(), sometimes(0.2), sometimes(0.25)
    # Bases of high powers of many irreps take minutes.
    highest = {0: 4, 1: 3, 2: 2, 3: 2}[l_max + (1 if pseudo and l_max < 3 else 0)]
    return {
        "num_layers": pick(1, 1, 2, 2, 2, 3),
        "num_channels": pick(1, 2, 3, 4),
        "l_max": l_max,
        "node_symmetry": pick(None, *range(min(l_max, 2) + 1)),
        "correlation": int(dice.rng.integers(1, highest + 1)),
        "readout_irreps": pick(["4x0e", "0e"], ["3x0e+2x0o", "0e"], ["5x0e", "1x0e"]),
        "num_readout_heads": heads,
        "include_pseudotensors": pseudo,
        "num_rbf": pick(1, 3, 5),
        "activation": pick(*acts),
        "radial_envelope": pick("polynomial_envelope", "soft_envelope"),
        "radial_mlp_hidden": pick([8], [6, 5], [4, 6, 5]),
        "radial_mlp_activation": pick(*acts),
        "add_atomic_energies": not sometimes(),
        "avg_num_neighbors": pick(None, None, 3.0),
        "avg_r_min": pick(None, None, 1.3),
        "num_species": pick(None, None, 20),
        "gate_nodes": sometimes(),
        "residual_connection_first_layer": sometimes(),
        "soft_normalization": pick(None, 0.5, 3.0),
        "predict_partial_charges": charged,
        "use_coulomb_term": coulomb,
        "use_total_charge_embedding": embed,
        # With so few channels a rectifier often silences the whole network.
        "embed_activation": pick(*acts).replace("relu", "tanh"),
        "deterministic_scatter_ops": sometimes(),
        "symmetric_contraction_backend": backend,
        "use_gaunt_tp_message_passing": gaunt_messages,
    }


def _random_info(dice: _Dice, coulomb: bool) -> dict[str, Any]:
    return {
        "graph_cutoff_angstrom": float(dice.rng.uniform(2.5, 3.5)),
        "avg_num_neighbors": float(dice.rng.uniform(8.0, 20.0)),
        "avg_r_min_angstrom": dice.pick(None, 1.1),
        "scaling_mean": dice.pick(0.0, -0.7),
        "scaling_stdev": dice.pick(1.0, 0.4),
        "total_charge_set": [-1, 0, 2],
        "long_range_cutoff_angstrom": 6.0 if coulomb else None,
    }


def make_oracle(case: Case) -> Oracle:
    """Return mlip's network, with the parameters that ours has; mlip's refuses others."""
    ours = {k: v for k, v in case.full_config.items() if k not in IGNORED_BY_MLIP}
    shapes = parameter_shapes(MaceConfig(**ours), DatasetInfo(**case.full_info))
    return Oracle(case.full_config, case.full_info, case.seed, shapes)


def spoiled(evaluator: Evaluator, by: float) -> Evaluator:
    """Let all weights of a model be wrong by a factor 1 + by, without compiling again."""
    params = jax.tree.map(lambda array: array * (1 + by), evaluator.network.parameters)
    evaluator.network = dataclasses.replace(evaluator.network, parameters=params)
    return evaluator


def differences(got: Evaluation, truth: Truth) -> dict[str, float]:
    """Return the largest differences: eV per atom; part of the largest force; e."""
    n, largest = len(got.energies), max(np.abs(truth.forces).max(), 1e-3)
    found = {
        "energy": abs(got.energy - truth.energy) / n,
        "forces": np.abs(got.forces - truth.forces).max() / largest,
    }
    if got.stress is not None:
        # Volume times stress is a sum of forces times distances.
        found["virial"] = got.volume * np.abs(got.stress - truth.stress).max() / (n * largest)
    if truth.charges is not None:
        found["charges"] = np.abs(got.charges - truth.charges).max()
    return found
