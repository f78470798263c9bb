"""Shapes of weights, counted without JAX, against what the network itself asks for."""

import jax
import jax.numpy as jnp
import pytest
from parity import random_case

from lammps_mace import DatasetInfo, Mace, MaceConfig
from lammps_mace.graph import Edges, Globals, Graph, LongRange, Nodes
from lammps_mace.models.mlip.shapes import parameter_count, parameter_shapes

INFO = {"atomic_energies_map": {1: 0.0, 8: 1.0}, "graph_cutoff_angstrom": 3.0}
SMALL = {"num_channels": 3, "l_max": 1, "correlation": 1, "readout_irreps": ["4x0e", "0e"]}


def traced(config, info):
    """Return the shapes that tracing the network gives."""
    index = jnp.zeros(1, jnp.int32)
    edges = Edges(vectors=jnp.ones((1, 3)))
    graph = Graph(
        Nodes(index), edges, index, index, n_node=jnp.ones(1, jnp.int32),
        globals=Globals(charge=jnp.zeros(1)), long_range=LongRange(edges, index, index),
    )  # fmt: skip
    tree = jax.eval_shape(Mace(config, info).init, jax.random.key(0), graph)["params"]
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"#".join(key.key for key in path): leaf.shape for path, leaf in leaves}


def both(config, info):
    config, info = MaceConfig(**config), DatasetInfo(**info)
    return parameter_shapes(config, info), traced(config, info)


@pytest.mark.parametrize("seed", range(16))
def test_random_options(seed):
    case = random_case(seed)
    counted, true = both(case.full_config, case.full_info)
    assert counted == true


@pytest.mark.parametrize(
    "readout",
    [
        ["3x0e+2x0o", "0e"],
        ["6x0e+2x1o", "0e"],
        ["2x0o+3x1o+1x2e", "0e+1x1o"],
        ["4x1o", "2x0e+0o+1x1e+1o"],
        ["2x0o + 2x1e+ 3x1o", "0e + 1x2o"],
        ["1x1o + 0e + 1o + 2x0e", "0e"],
    ],
)
def test_readouts(readout):
    options = {"num_layers": 2, "num_readout_heads": 2, "predict_partial_charges": True}
    counted, true = both({**SMALL, **options, "readout_irreps": readout}, INFO)
    assert counted == true


@pytest.mark.parametrize(
    "options",
    [
        {"species_pair_scaling": True, "include_pseudotensors": True},
        {"symmetric_contraction_backend": "e3nn_symmetric", "correlation": 3},
        {"symmetric_contraction_backend": "e3nn", "correlation": 3, "gate_nodes": True},
        {"l_max": 3, "correlation": 3, "node_symmetry": 1},
        {"use_total_charge_embedding": True, "num_layers": 1, "num_species": 5},
        {"radial_mlp_hidden": [], "residual_connection_first_layer": True},
    ],
)
def test_options(options):
    counted, true = both({**SMALL, **options}, {**INFO, "total_charge_set": [0, 1]})
    assert counted == true
    other = {**SMALL, **options, "num_channels": 4}
    assert parameter_shapes(MaceConfig(**other), DatasetInfo(**INFO)) != true  # the control


def test_reference_architecture_needs_no_array():
    shapes = parameter_shapes(MaceConfig(), DatasetInfo(**INFO))
    assert len(shapes) == 46
    assert parameter_count(shapes) == 1_077_392


def test_fewer_rows_than_elements():
    with pytest.raises(ValueError, match="num_species=1 is less than the 2 elements"):
        parameter_shapes(MaceConfig(num_species=1), DatasetInfo(**INFO))
