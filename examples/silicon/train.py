"""Train a small MACE on the Stillinger-Weber potential of silicon.

    python train.py --out silicon.model

Data come from LAMMPS itself and take half a minute; training took 18 minutes on one busy core.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from batches import Batch, Sample, pack, with_neighbors
from data import EQUILIBRATION, Structure, data_set

from lammps_mace import DatasetInfo, Graph, Mace, MaceConfig, save_model

Params = dict[str, Any]

# Stillinger-Weber ends at 3.77 Å; a longer cutoff leaves room for a smooth envelope.
CUTOFF_ANGSTROM = 4.0
CAPACITY = np.array([6, 128, 2500])  # structures, atoms, pairs of a batch
ENERGY_WEIGHT, FORCE_WEIGHT, VIRIAL_WEIGHT = 10.0, 1.0, 1.0
CONFIG = MaceConfig(
    num_layers=2,
    num_channels=8,
    l_max=2,
    node_symmetry=1,
    correlation=2,
    num_rbf=8,
    radial_mlp_hidden=(64, 64),
    symmetric_contraction_backend="e3nn_symmetric",
)


def predict(model: Mace, params: Params, graph: Graph) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return energies [n_graphs], forces [n_nodes, 3] and virials [n_graphs, 3, 3]."""

    def total(vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
        out = model.apply(params, graph.replace(edges=graph.edges.replace(vectors=vectors)))
        energy = out.nodes.features["energy"]
        return energy.sum(), graph.sum_nodes(energy)

    vectors = graph.edges.vectors
    gradient, energy = jax.grad(total, has_aux=True)(vectors)
    # With v = r_receiver - r_sender: dE/dr_receiver = dE/dv = -dE/dr_sender.
    forces = jax.ops.segment_sum(gradient, graph.senders, graph.n_nodes)
    forces = forces - jax.ops.segment_sum(gradient, graph.receivers, graph.n_nodes)
    # dE/d(strain) = sum over pairs of dE/dv (x) v.
    per_edge = jnp.einsum("ea,eb->eab", gradient, vectors)
    per_node = jax.ops.segment_sum(per_edge, graph.receivers, graph.n_nodes)
    return energy, forces, -graph.sum_nodes(per_node)


def errors(model: Mace, params: Params, batch: Batch) -> dict[str, jax.Array]:
    """Return differences: energy and virial per atom and graph (eV), forces per atom (eV/Å)."""
    energy, forces, virial = predict(model, params, batch.graph)
    return {
        "energy": (energy - batch.energy) / batch.n_atoms,
        "forces": jnp.where(batch.graph.node_mask()[:, None], forces - batch.forces, 0.0),
        "virial": (virial - batch.virial) / batch.n_atoms[:, None, None],
    }


def loss(model: Mace, params: Params, batch: Batch) -> jax.Array:
    """Return the weighted mean square error of a batch."""
    difference = errors(model, params, batch)
    mean = partial(jnp.mean, where=batch.real)
    energy = mean(difference["energy"] ** 2)
    forces = jnp.sum(difference["forces"] ** 2) / (3 * jnp.sum(batch.graph.node_mask()))
    virial = mean(jnp.mean(difference["virial"] ** 2, axis=(1, 2)))
    return ENERGY_WEIGHT * energy + FORCE_WEIGHT * forces + VIRIAL_WEIGHT * virial


def rmse_table(
    model: Mace, params: Params, samples: Sequence[Sample]
) -> dict[str, dict[str, float]]:
    """Return kind -> RMSE of energy and virial (meV/atom) and of forces (meV/Å)."""
    evaluate = jax.jit(partial(errors, model))
    by_kind: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_kind[sample.structure.kind].append(sample)
    return {
        kind: _rmse([(evaluate(params, batch), batch) for batch in pack(members, CAPACITY)])
        for kind, members in by_kind.items()
    }


def _rmse(results: Sequence[tuple[dict[str, jax.Array], Batch]]) -> dict[str, float]:
    parts = defaultdict(list)
    for differences, batch in results:
        for name, values in differences.items():
            real = batch.graph.nodes.mask if name == "forces" else batch.real
            parts[name].append(np.asarray(values)[real].ravel())
    return {
        name: 1000 * float(np.sqrt(np.mean(np.concatenate(values) ** 2)))
        for name, values in parts.items()
    }


def format_table(table: dict[str, dict[str, float]]) -> str:
    """Return the table as text."""
    head = f"{'RMSE':10}{'energy':>12}{'virial':>12}{'forces':>12}\n"
    head += f"{'':10}{'meV/atom':>12}{'meV/atom':>12}{'meV/Å':>12}\n"
    rows = (
        f"{kind:10}{row['energy']:12.2f}{row['virial']:12.2f}{row['forces']:12.2f}"
        for kind, row in table.items()
    )
    return head + "\n".join(rows)


def dataset_info(samples: Sequence[Sample]) -> DatasetInfo:
    """Return the statistics that the network needs."""
    nearest = [np.linalg.norm(s.vectors, axis=1).min() for s in samples if len(s.vectors)]
    forces = np.concatenate([s.structure.forces for s in samples])
    neighbors = np.concatenate(
        [np.bincount(s.receivers, minlength=len(s.structure.positions)) for s in samples]
    )
    return DatasetInfo(
        dataset_name="silicon, Stillinger-Weber",
        num_graphs=len(samples),
        atomic_energies_map={14: 0.0},  # the zero of Stillinger-Weber is the isolated atom
        graph_cutoff_angstrom=CUTOFF_ANGSTROM,
        avg_num_neighbors=round(float(neighbors.mean()), 3),
        avg_r_min_angstrom=round(float(np.mean(nearest)), 3),
        scaling_stdev=round(float(np.sqrt(np.mean(forces**2))), 3),
    )


class Trainer:
    """Adam with a cosine schedule and a moving average of the weights."""

    def __init__(self, model: Mace, rate: float, steps: int) -> None:
        self.model = model
        schedule = optax.warmup_cosine_decay_schedule(rate / 10, rate, steps // 50, steps, 1e-5)
        self.optimizer = optax.chain(optax.clip_by_global_norm(10.0), optax.amsgrad(schedule))
        self.step = jax.jit(self._step)

    def _step(self, state: tuple, batch: Batch) -> tuple[tuple, jax.Array]:
        params, average, moments, count = state
        value, gradient = jax.value_and_grad(partial(loss, self.model))(params, batch)
        updates, moments = self.optimizer.update(gradient, moments, params)
        params = optax.apply_updates(params, updates)
        decay = jnp.minimum(0.999, (1.0 + count) / (10.0 + count))
        average = optax.incremental_update(params, average, 1.0 - decay)
        return (params, average, moments, count + 1), value

    def start(self, params: Params) -> tuple:
        """Return the first state: weights, their average, moments, number of steps."""
        return params, params, self.optimizer.init(params), jnp.zeros(())


def train(
    model: Mace, params: Params, samples: dict[str, list[Sample]], args: argparse.Namespace
) -> Params:
    """Return the averaged weights with the least validation loss."""
    rng = np.random.default_rng(args.seed)
    n_batches = len(pack(samples["train"], CAPACITY))
    trainer = Trainer(model, args.rate, args.epochs * n_batches)
    state = trainer.start(params)
    validate = jax.jit(partial(loss, model))
    validation = pack(samples["validation"], CAPACITY)
    best, best_value, begin = params, np.inf, time.perf_counter()
    for epoch in range(1, args.epochs + 1):
        order = rng.permutation(len(samples["train"]))
        values = []
        for batch in pack([samples["train"][i] for i in order], CAPACITY):
            state, value = trainer.step(state, batch)
            values.append(value)
        value = float(np.mean([validate(state[1], batch) for batch in validation]))
        if value < best_value:
            best, best_value = state[1], value
        minutes = (time.perf_counter() - begin) / 60
        print(
            f"epoch {epoch:4d}/{args.epochs}  training loss {np.mean(values):.3e}  "
            f"validation {value:.3e}  {minutes:.1f} min, "
            f"{minutes * (args.epochs / epoch - 1):.1f} min to go", flush=True,
        )  # fmt: skip
        if epoch % 10 == 0:
            print(format_table(rmse_table(model, best, samples["validation"])), flush=True)
        if args.time_limit and minutes > args.time_limit:
            print("time limit reached")
            break
    return best


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("silicon.model"))
    parser.add_argument("--epochs", type=int, default=36)
    parser.add_argument("--rate", type=float, default=0.01, help="highest learning rate")
    parser.add_argument("--count", type=int, default=12, help="structures of each trajectory")
    parser.add_argument(
        "--equilibration", type=int, default=EQUILIBRATION, help="steps before the first of these"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--time-limit", type=float, help="stop training after so many minutes")
    return parser.parse_args()


def learn(
    structures: dict[str, list[Structure]], args: argparse.Namespace
) -> tuple[DatasetInfo, Params]:
    """Return statistics of the training set, and weights; ``structures`` has the three sets."""
    samples = {name: with_neighbors(s, CUTOFF_ANGSTROM) for name, s in structures.items()}
    info = dataset_info(samples["train"])
    print(info, flush=True)
    model = Mace(CONFIG, info)
    first = pack(samples["train"][:1], CAPACITY)[0]
    params = jax.jit(model.init)(jax.random.key(args.seed), first.graph)
    params = train(model, params, samples, args)
    print("on structures of the test set:")
    print(format_table(rmse_table(model, params, samples["test"])))
    return info, params


def main() -> None:
    """Make the data, train, test, save."""
    args = arguments()
    sizes = {"train": args.count, "validation": min(args.count, 2), "test": min(args.count, 2)}
    structures = {
        name: data_set(1000 * (args.seed + i), count, args.equilibration)
        for i, (name, count) in enumerate(sizes.items())
    }
    info, params = learn(structures, args)
    save_model(
        args.out,
        CONFIG,
        info,
        params,
        dtype="float32",
        origin="examples/silicon/train.py",
        record_folder=False,
    )
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
