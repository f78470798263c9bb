"""lammps-mace: write the model of a case, with random weights; with a Coulomb sum if asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace import DatasetInfo, Graph, Mace, MaceConfig, save_model
from lammps_mace.graph import Edges, Globals, LongRange, Nodes


def build(folder: Path, dtype: str = "float32", long_range: float | None = None) -> None:
    """Write ours.model of case.json in a folder."""
    write_model(
        folder / "ours.model", json.loads((folder / "case.json").read_text()), dtype, long_range
    )


def write_model(
    path: Path, case: dict, dtype: str = "float32", long_range: float | None = None, seed: int = 0
) -> None:
    """Write a model; weights are as small as those of a trained model.

    Args:
        case: its channels, node_symmetry, l_max, elements and cutoff.
        dtype: of the model.
        long_range: cutoff of a Coulomb sum, Å; None for a model without charges.
        seed: of the weights, the same in either precision.
    """
    config = MaceConfig(
        num_channels=case["channels"], node_symmetry=case["node_symmetry"], l_max=case["l_max"],
        use_coulomb_term=long_range is not None,
    )  # fmt: skip
    info = DatasetInfo(
        atomic_energies_map=dict.fromkeys(case["elements"], -1.0),
        graph_cutoff_angstrom=case["cutoff"], avg_num_neighbors=28.0,
        long_range_cutoff_angstrom=long_range, total_charge_set=frozenset({0}),
    )  # fmt: skip
    pairs = LongRange(Edges(vectors=jnp.ones((2, 3))), jnp.array([0, 1]), jnp.array([1, 0]))
    graph = Graph(
        Nodes(jnp.zeros(2, jnp.int32)), pairs.edges, pairs.senders, pairs.receivers,
        jnp.array([2]), Globals(charge=jnp.zeros(1)), pairs,
    )  # fmt: skip
    shapes = jax.eval_shape(Mace(config, info).init, jax.random.PRNGKey(0), graph)["params"]
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda s: 0.5 * rng.normal(size=s.shape).astype(np.float32), shapes)
    charge = None if long_range is None else 0
    save_model(path, config, info, params, dtype=dtype, total_charge=charge)


if __name__ == "__main__":
    build(Path(sys.argv[1]), *sys.argv[2:])
