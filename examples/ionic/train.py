"""Train a small MACE with partial charges and a Coulomb sum on an ionic potential of NaCl.

    python train.py --minutes 22 --out first.model
    python train.py --start first.model --seed 2 --count 20 --rate 0.005 --minutes 18 \\
        --charge-weight 5 --out second.model
    python train.py --start second.model --seed 3 --count 16 --rate 0.004 --minutes 12 \\
        --charge-weight 100

Data come from LAMMPS itself. The shipped model was made so, on a core that
other work shared; its first two rounds pulled the charges to 0.06 e.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from batches import Batch, Batches
from data import EQUILIBRATION, NUMBERS, Structure, data_set

from lammps_mace import DatasetInfo, Graph, Mace, MaceConfig, load_model, save_model

Params = dict[str, Any]
Vectors = tuple[jax.Array, jax.Array]

CUTOFF_ANGSTROM, LONG_RANGE_ANGSTROM = 6.0, 9.0
BATCH = 2  # structures
ENERGY_WEIGHT, FORCE_WEIGHT, VIRIAL_WEIGHT = 10.0, 1.0, 1.0
# Energies and forces do not say how much of them is Coulomb's, nor the sign: a pull does.
CHARGES = np.array([0.02, -0.02], np.float32)  # e
CONFIG = MaceConfig(
    num_layers=2,
    num_channels=16,
    l_max=1,
    node_symmetry=1,
    correlation=2,
    num_rbf=8,
    radial_mlp_hidden=(64, 64),
    use_coulomb_term=True,
    symmetric_contraction_backend="e3nn_symmetric",
)


def predict(model: Mace, params: Params, graph: Graph) -> tuple[jax.Array, ...]:
    """Return energies [n_graphs], forces [n_nodes, 3], virials [n_graphs, 3, 3], charges."""

    def total(vectors: Vectors) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        features = model.apply(params, _moved(graph, vectors)).nodes.features
        energy = features["energy"]
        return energy.sum(), (graph.sum_nodes(energy), features["partial_charges"])

    far = graph.long_range_pairs()
    vectors = graph.edges.vectors, far.edges.vectors
    gradients, (energy, charges) = jax.grad(total, has_aux=True)(vectors)
    forces = virial = 0.0
    for pairs, gradient, vector in zip((graph, far), gradients, vectors, strict=True):
        # With v = r_receiver - r_sender: dE/dr_receiver = dE/dv = -dE/dr_sender.
        forces += jax.ops.segment_sum(gradient, pairs.senders, graph.n_nodes)
        forces -= jax.ops.segment_sum(gradient, pairs.receivers, graph.n_nodes)
        # dE/d(strain) = sum over pairs of dE/dv (x) v.
        per_pair = jnp.einsum("ea,eb->eab", gradient, vector)
        per_node = jax.ops.segment_sum(per_pair, pairs.receivers, graph.n_nodes)
        virial -= graph.sum_nodes(per_node)
    return energy, forces, virial, charges


def _moved(graph: Graph, vectors: Vectors) -> Graph:
    near, far = vectors
    pairs = graph.long_range_pairs()
    return graph.replace(
        edges=graph.edges.replace(vectors=near),
        long_range=pairs.replace(edges=pairs.edges.replace(vectors=far)),
    )


def errors(model: Mace, params: Params, batch: Batch) -> dict[str, jax.Array]:
    """Return mean squares: energy and virial per atom (eV), forces (eV/Å), charges (e)."""
    energy, forces, virial, charges = predict(model, params, batch.graph)
    n = (batch.graph.n_nodes - 1) // len(batch.energy)
    pull = charges - jnp.asarray(CHARGES)[batch.graph.nodes.species]
    return {
        "energy": jnp.mean(((energy[:-1] - batch.energy) / n) ** 2),
        "virial": jnp.mean(((virial[:-1] - batch.virial) / n) ** 2),
        "forces": jnp.mean((forces[:-1] - batch.forces) ** 2),
        "charges": jnp.mean(pull[:-1] ** 2),
    }


def loss(model: Mace, charge_weight: float, params: Params, batch: Batch) -> jax.Array:
    """Return the weighted mean square error of a batch."""
    mean = errors(model, params, batch)
    physics = ENERGY_WEIGHT * mean["energy"] + VIRIAL_WEIGHT * mean["virial"]
    return physics + FORCE_WEIGHT * mean["forces"] + charge_weight * mean["charges"]


def rmse_table(model: Mace, params: Params, structures: Sequence[Structure]) -> str:
    """Return a table of errors by kind of structure."""
    evaluate = jax.jit(partial(errors, model))
    names = {"energy": "meV/atom", "virial": "meV/atom", "forces": "meV/Å", "charges": "me"}
    lines = ["RMSE      " + "".join(f"{f'{name} ({unit})':>20}" for name, unit in names.items())]
    for kind in dict.fromkeys(s.kind for s in structures):
        batches = make_batches([s for s in structures if s.kind == kind])
        found = [evaluate(params, batches.get([i])) for i in range(len(batches.structures))]
        means = [1000 * float(np.sqrt(np.mean([f[name] for f in found]))) for name in names]
        lines.append(f"{kind:10}" + "".join(f"{value:20.2f}" for value in means))
    return "\n".join(lines)


def make_batches(structures: Sequence[Structure]) -> Batches:
    """Return the pairs of structures within both cutoffs."""
    return Batches(structures, CUTOFF_ANGSTROM, LONG_RANGE_ANGSTROM)


def dataset_info(batches: Batches) -> DatasetInfo:
    """Return the statistics that the network needs."""
    structures = batches.structures
    n = len(structures[0].species)
    nearest = [np.linalg.norm(vectors, axis=1).min() for _, _, vectors in batches.near]
    forces = np.concatenate([s.forces for s in structures])
    # Ions have no energy of their own that would matter here: both take half of a pair's.
    mean = round(float(np.mean([s.energy for s in structures])) / n, 4)
    return DatasetInfo(
        dataset_name="NaCl, Fumi-Tosi with a damped Coulomb sum",
        num_graphs=len(structures),
        atomic_energies_map=dict.fromkeys(NUMBERS, mean),
        total_charge_set=frozenset({0}),
        graph_cutoff_angstrom=CUTOFF_ANGSTROM,
        long_range_cutoff_angstrom=LONG_RANGE_ANGSTROM,
        avg_num_neighbors=round(float(np.mean([len(pairs[0]) / n for pairs in batches.near])), 3),
        avg_r_min_angstrom=round(float(np.mean(nearest)), 3),
        scaling_stdev=round(float(np.sqrt(np.mean(forces**2))), 3),
    )


class Trainer:
    """Adam and a moving average of the weights; the caller says the learning rate."""

    def __init__(self, model: Mace, charge_weight: float) -> None:
        self.loss = partial(loss, model, charge_weight)
        self.adam = optax.chain(optax.clip_by_global_norm(10.0), optax.scale_by_amsgrad())
        self.step = jax.jit(self._step)

    def _step(self, state: tuple, batch: Batch, rate: jax.Array) -> tuple[tuple, jax.Array]:
        params, average, moments, count = state
        value, gradient = jax.value_and_grad(self.loss)(params, batch)
        updates, moments = self.adam.update(gradient, moments, params)
        params = jax.tree.map(lambda p, u: p - rate * u, params, updates)
        decay = jnp.minimum(0.995, (1.0 + count) / (10.0 + count))
        average = optax.incremental_update(params, average, 1.0 - decay)
        return (params, average, moments, count + 1), value

    def start(self, params: Params) -> tuple:
        """Return the first state: weights, their average, moments, number of steps."""
        return params, params, self.adam.init(params), jnp.zeros(())


def train(model: Mace, params: Params, batches: Batches, args: argparse.Namespace) -> Params:
    """Return the averaged weights; the rate rises, then falls with epochs or with the time."""
    trainer, rng = Trainer(model, args.charge_weight), np.random.default_rng(args.seed)
    state, begin = trainer.start(params), time.perf_counter()
    for epoch in range(1, args.epochs + 1):
        order = rng.permutation(len(batches.structures))
        order = order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)
        values = []
        for k, chosen in enumerate(order):
            minutes = (time.perf_counter() - begin) / 60
            done = max((epoch - 1 + k / len(order)) / args.epochs, minutes / args.minutes)
            rate = args.rate * min(done / 0.02 + 0.1, 1.0, 0.501 + 0.5 * np.cos(np.pi * done))
            state, value = trainer.step(state, batches.get(chosen), jnp.float32(rate))
            values.append(value)
        print(f"epoch {epoch:4d}  loss {np.mean(values):.3e}  {minutes:.1f} min", flush=True)
        if minutes > args.minutes:
            break
    return state[1]


def main() -> None:
    """Make the data, train, test, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("nacl.model"))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=60.0, help="end training by then")
    parser.add_argument("--rate", type=float, default=0.01, help="highest learning rate")
    parser.add_argument("--count", type=int, default=12, help="structures of each trajectory")
    parser.add_argument(
        "--equilibration", type=int, default=EQUILIBRATION, help="steps before the first of these"
    )
    parser.add_argument("--charge-weight", type=float, default=1.0, help="of the pull on charges")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, help="go on with this model, on other data")
    args = parser.parse_args()
    batches = make_batches(data_set(1000 * args.seed, args.count, args.equilibration))
    test = data_set(1000 * args.seed + 500, min(args.count, 2), args.equilibration)
    old = load_model(args.start) if args.start else None
    info = old.dataset_info if old else dataset_info(batches)
    print(info, flush=True)
    model = Mace(CONFIG, info)
    if old:
        params = {"params": jax.tree.map(jnp.asarray, old.params)}
    else:
        params = jax.jit(model.init)(jax.random.key(args.seed), batches.get([0]).graph)
    params = train(model, params, batches, args)
    print("on structures of the test set:")
    print(rmse_table(model, params, test))
    save_model(
        args.out, CONFIG, info, params, dtype="float32", total_charge=0, write_charges=True,
        origin="examples/ionic/train.py", record_folder=False,
    )  # fmt: skip
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
