"""Write the checkpoints of mlip 0.1 in this folder, with that library's own energies and forces.

mlip 0.1 and mlip 0.2 cannot be installed together, so this runs in an environment of its own and
its results are committed:

    python -m venv v1 && v1/bin/pip install mlip==0.1.10
    JAX_ENABLE_X64=1 v1/bin/python tests/data/make_v1.py

Each case is NAME.zip, as mlip.models.model_io.save_model_to_zip writes it (then compressed), and
an entry NAME in v1.json: the structures, energies (eV) and forces (eV/Å). The weights of the
radial networks are rounded to a quarter, which makes the files small and costs no generality.
"""

import io
import json
import zipfile
from pathlib import Path

import jax
import numpy as np
from mlip.data import ChemicalSystem, DatasetInfo
from mlip.data.helpers.graph_creation import create_graph_from_chemical_system
from mlip.models import ForceField, Mace
from mlip.models.model_io import save_model_to_zip

HERE = Path(__file__).parent
DATASET = {"atomic_energies_map": {1: -13.6, 8: -432.1}, "cutoff_distance_angstrom": 3.0}
SMALL = {"num_channels": 3, "l_max": 2, "node_symmetry": 1, "correlation": 2}
# name -> config, data set.
CASES = {
    "v1_plain": (SMALL, {"avg_num_neighbors": 7.5}),
    "v1_symmetric": (
        {
            **SMALL, "num_layers": 3, "l_max": 3, "node_symmetry": 2, "correlation": 3,
            "symmetric_tensor_product_basis": True, "gate_nodes": True, "num_readout_heads": 2,
            "readout_irreps": ["6x0e+2x1o", "0e"],
        },
        {
            "avg_num_neighbors": 30.0, "avg_r_min_angstrom": 0.9, "scaling_mean": 0.3,
            "scaling_stdev": 1.7,
        },
    ),
    "v1_options": (
        {
            **SMALL, "node_symmetry": 2, "activation": "tanh",
            "radial_envelope": "soft_envelope", "avg_num_neighbors": 4.0, "avg_r_min": 1.1,
            "atomic_energies": {0: -1.5, 1: -2.5, 8: -3.5}, "num_bessel": 5,
        },
        {"avg_num_neighbors": 9.0, "avg_r_min_angstrom": 0.7},
    ),
    "v1_species_embedding": (
        {
            **SMALL, "species_embedding_dim": 3, "atomic_energies": "zero", "num_species": 4,
            "correlation": 3, "l_max": 1, "symmetric_tensor_product_basis": True,
        },
        {"avg_num_neighbors": 7.5},
    ),
    "v1_one_layer": ({**SMALL, "num_layers": 1, "atomic_energies": "average"}, {}),
}  # fmt: skip


def structures(rng):
    """Return a triclinic crystal and a molecule: positions, species, cell, pbc."""
    cell = np.array([[4.1, 0.0, 0.0], [0.7, 3.9, 0.0], [-0.4, 0.6, 4.4]])
    crystal = rng.random((5, 3)) @ cell
    molecule = np.array([[0.0, 0.0, 0.0], [0.96, 0.1, 0.0], [-0.3, 0.9, 0.2], [1.4, 1.9, -0.8]])
    yield crystal, rng.permutation([0, 0, 1, 1, 0]), cell, (True, True, True)
    yield molecule, np.array([1, 0, 0, 1]), None, (False, False, False)


def rounded(path, array):
    """Return float32 weights, those of the radial networks in quarters."""
    name = jax.tree_util.keystr(path)
    array = np.asarray(array, np.float32)
    return np.round(4 * array) / 4 if "MultiLayerPerceptron" in name else array


def with_bias(path, array, rng):
    """Return biases that are not zero, as after training."""
    return rng.normal(size=array.shape) if "bias" in jax.tree_util.keystr(path) else array


def recompressed(path):
    """Compress what the library stores."""
    with zipfile.ZipFile(path) as old:
        hyperparams = old.read("hyperparams.json")
        arrays = dict(np.load(io.BytesIO(old.read("params.npz"))))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("hyperparams.json", hyperparams)
        new.writestr("params.npz", buffer.getvalue())


def reference(field, params, rng):
    """Return structures with energies and forces in float64."""
    numbers = sorted(field.dataset_info.atomic_energies_map)
    for positions, species, cell, pbc in structures(rng):
        system = ChemicalSystem(
            atomic_numbers=np.array(numbers)[species], atomic_species=species,
            positions=positions, cell=cell, pbc=pbc,
        )  # fmt: skip
        graph = create_graph_from_chemical_system(
            system, field.cutoff_distance, batch_it_with_minimal_dummy=True
        )
        result = jax.jit(field.predictor.apply)(params, graph)
        yield {
            "numbers": system.atomic_numbers.tolist(),
            "positions": positions.tolist(),
            "cell": None if cell is None else cell.tolist(),
            "energy": float(result.energy[0]),
            "forces": np.asarray(result.forces)[: len(species)].tolist(),
        }


def main():
    """Write every case."""
    everything = {}
    for seed, (name, (config, info)) in enumerate(CASES.items()):
        rng = np.random.default_rng(seed)
        network = Mace(Mace.Config(**config), DatasetInfo(**{**DATASET, **info}))
        field = ForceField.from_mlip_network(network, seed=seed)
        params = jax.tree_util.tree_map_with_path(
            lambda path, array, rng=rng: rounded(path, with_bias(path, array, rng)), field.params
        )
        save_model_to_zip(HERE / f"{name}.zip", ForceField(field.predictor, params))
        recompressed(HERE / f"{name}.zip")
        double = jax.tree.map(lambda array: np.asarray(array, np.float64), params)
        everything[name] = list(reference(field, double, rng))
        print(name, [case["energy"] for case in everything[name]])
    (HERE / "v1.json").write_text(json.dumps(everything, indent=None, separators=(",", ":")))


if __name__ == "__main__":
    main()
