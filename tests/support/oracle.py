"""mlip 0.2 as the truth: random checkpoints, and its own numbers for them."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from ase import Atoms
from mlip.data.chemical_system import ChemicalSystem
from mlip.data.dataset_info import DatasetInfo
from mlip.data.helpers.dummy_init_graph import get_dummy_graph_for_model_init
from mlip.graph import Graph
from mlip.models import ForceField
from mlip.models.mace.config import MaceConfig
from mlip.models.mace.network import Mace
from mlip.models.model_io import save_model_to_zip
from mlip.models.predictors import ConservativePredictor
from mlip.typing.properties import Properties

from lammps_mace.modelfile import unflatten


def _not_our_warnings(method):
    """Let mlip warn of itself without failing our tests."""

    @functools.wraps(method)
    def quiet(*args, **kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return method(*args, **kwargs)

    return quiet


@dataclass(frozen=True)
class Truth:
    """What mlip says about a structure, float64."""

    energy: float
    forces: np.ndarray
    stress: np.ndarray
    energies: np.ndarray
    charges: np.ndarray | None


class Oracle:
    """A random MACE of mlip.

    Args:
        config, info: of mlip, as dictionaries.
        seed: of the weights.
        shapes: of the parameters, by their names in mlip's network; None asks mlip, which takes as
            long as all the rest.
    """

    @_not_our_warnings
    def __init__(
        self, config: dict, info: dict, seed: int = 0, shapes: dict[str, tuple] | None = None
    ) -> None:
        self.config, self.info = MaceConfig(**config), DatasetInfo(**info)
        network = Mace(self.config, self.info)
        charges = self.config.predict_partial_charges
        wanted = Properties(stress=True, partial_charges=charges)
        head = ForceField.get_energy_head(self.config, wanted, network)
        self.predictor = ConservativePredictor(network, wanted, head)
        if shapes is None:
            # Without the minutes that it takes to initialise.
            dummy = get_dummy_graph_for_model_init()
            energy_only = ConservativePredictor(network, Properties(forces=False), head)
            tree = jax.eval_shape(energy_only.init, jax.random.key(0), dummy)
            whole = jax.tree.map(lambda leaf: leaf.shape, tree)
        else:
            whole = {"params": {"mlip_network": unflatten(shapes)}}
        rng = np.random.default_rng(seed)
        self.params = jax.tree.map(
            lambda shape: rng.normal(size=shape).astype(np.float32),
            whole, is_leaf=lambda x: isinstance(x, tuple),
        )  # fmt: skip

    def save(self, path: Path) -> Path:
        """Write the checkpoint with mlip."""
        save_model_to_zip(path, ForceField(self.predictor, self.params))
        return path

    def graph(self, atoms: Atoms, charge: int | None = None, head: int | None = None) -> Graph:
        """Return mlip's graph of a structure."""
        periodic = bool(atoms.pbc.any())
        system = ChemicalSystem(
            atomic_numbers=atoms.numbers,
            positions=atoms.positions,
            cell=np.array(atoms.cell) if periodic else None,
            pbc=tuple(bool(p) for p in atoms.pbc),
            charge=charge,
        )
        graph = Graph.from_chemical_system(
            system, self.info.graph_cutoff_angstrom, self.info.long_range_cutoff_angstrom
        )
        if head is not None:
            graph = graph.replace_globals(dataset_idx=np.array([head], np.int32))
        return graph

    @_not_our_warnings
    def evaluate(
        self, atoms: Atoms, charge: int | None = None, head: int | None = None,
        dtype: str = "float64",
    ) -> Truth:  # fmt: skip
        """Return mlip's numbers; float32 as mlip runs by default, without 64-bit types."""
        with jax.enable_x64(dtype == "float64"):
            params = jax.tree.map(lambda array: array.astype(dtype), self.params)
            graph = self.graph(atoms, charge, head)
            if dtype == "float32":
                graph = jax.tree.map(_single, graph)
            result = jax.tree.map(np.asarray, jax.jit(self.predictor.apply)(params, graph))
        charges = result.nodes.partial_charges
        return Truth(
            energy=float(result.globals.energy[0]),
            forces=np.asarray(result.nodes.forces, np.float64),
            stress=np.asarray(result.globals.stress[0], np.float64),
            energies=np.asarray(result.nodes.features["energy"], np.float64),
            charges=charges if self.config.predict_partial_charges else None,
        )


def _single(array):
    array = np.asarray(array)
    return array.astype(np.float32) if array.dtype == np.float64 else array
