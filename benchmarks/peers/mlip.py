"""mlip: time its jitted force field on a ready graph, without neighbour list."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.pop(0)  # this file's folder: it would shadow the package mlip
import jax
import numpy as np
from ase.io import read
from mlip.data.chemical_system import ChemicalSystem
from mlip.data.dataset_info import DatasetInfo
from mlip.data.helpers.dummy_init_graph import get_dummy_graph_for_model_init
from mlip.graph import Graph
from mlip.models import ForceField
from mlip.models.mace.config import MaceConfig
from mlip.models.mace.network import Mace
from mlip.models.predictors import ConservativePredictor
from mlip.typing.properties import Properties


def force_field(case: dict):
    """Return the predictor and random parameters of a case."""
    config = MaceConfig(
        num_channels=case["channels"], node_symmetry=case["node_symmetry"], l_max=case["l_max"]
    )
    info = DatasetInfo(
        atomic_energies_map=dict.fromkeys(case["elements"], -1.0),
        graph_cutoff_angstrom=case["cutoff"], avg_num_neighbors=28.0,
    )  # fmt: skip
    network, wanted = Mace(config, info), Properties()
    head = ForceField.get_energy_head(config, wanted, network)
    predictor = ConservativePredictor(network, wanted, head)
    energy_only = ConservativePredictor(network, Properties(forces=False), head)
    shapes = jax.eval_shape(energy_only.init, jax.random.key(0), get_dummy_graph_for_model_init())
    rng = np.random.default_rng(0)
    return predictor, jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), shapes)


def main(folder: Path, seconds: float) -> None:
    """Print the seconds of each call as JSON."""
    case, atoms = json.loads((folder / "case.json").read_text()), read(folder / "case.xyz")
    predictor, params = force_field(case)
    system = ChemicalSystem(
        atomic_numbers=atoms.numbers, positions=atoms.positions, cell=np.array(atoms.cell),
        pbc=(True, True, True),
    )  # fmt: skip
    graph = Graph.from_chemical_system(system, case["cutoff"], None)
    graph = jax.tree.map(
        lambda x: np.asarray(x, np.float32) if np.asarray(x).dtype == np.float64 else x, graph
    )
    function, times = jax.jit(predictor.apply), []
    for call in range(100):
        start = time.perf_counter()
        jax.block_until_ready(function(params, graph))
        if call:
            times.append(time.perf_counter() - start)
        if sum(times) > seconds and len(times) > 1:
            break
    print(json.dumps({"seconds": times}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
