"""lammps-mace: write the model of a case, with random weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace import DatasetInfo, Graph, Mace, MaceConfig, save_model
from lammps_mace.graph import Edges, Nodes


def build(folder: Path, dtype: str = "float32") -> None:
    """Write ours.model; weights are as small as those of a trained model."""
    case = json.loads((folder / "case.json").read_text())
    config = MaceConfig(
        num_channels=case["channels"], node_symmetry=case["node_symmetry"], l_max=case["l_max"]
    )
    info = DatasetInfo(
        atomic_energies_map=dict.fromkeys(case["elements"], -1.0),
        graph_cutoff_angstrom=case["cutoff"], avg_num_neighbors=28.0,
    )  # fmt: skip
    graph = Graph(
        Nodes(jnp.zeros(2, jnp.int32)), Edges(vectors=jnp.ones((2, 3))),
        jnp.array([0, 1]), jnp.array([1, 0]), jnp.array([2]),
    )  # fmt: skip
    shapes = jax.eval_shape(Mace(config, info).init, jax.random.PRNGKey(0), graph)["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda s: 0.5 * rng.normal(size=s.shape).astype(np.float32), shapes)
    save_model(folder / "ours.model", config, info, params, dtype=dtype)


if __name__ == "__main__":
    build(Path(sys.argv[1]), *sys.argv[2:])
