"""`lammps-mace estimate`: pairs, exchange volume and memory of a run, before it is started."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict

from lammps_mace.cli.progress import progress
from lammps_mace.cli.size_estimate import Estimate, Shapes, domain_grid, estimate, pairs_per_atom
from lammps_mace.modelfile import Model, load_model
from lammps_mace.models import families
from lammps_mace.runtime.jax_setup import find_devices

# Arrays of a pair's width that one chunk has at a time, forward and backward.
_EDGE_ARRAYS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", help="the model file, X.model")
    parser.add_argument("--atoms", type=int, required=True, help="atoms of the whole system")
    parser.add_argument("--ranks", type=int, default=1, help="MPI ranks of LAMMPS (1)")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--density", type=float, help="atoms per cubic Å")
    given.add_argument(
        "--pairs-per-atom", type=float,
        help="neighbours within the cutoff; default: the mean of the model's training data",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="numbers in units of 1, for programs")


def run(options: argparse.Namespace) -> int:
    """Print the figures."""
    for name in ("atoms", "ranks", "density", "pairs_per_atom"):
        value = getattr(options, name)
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ValueError(f"--{name.replace('_', '-')} must be positive, got {value:g}")
    with progress("preparing the model, to see the sizes of its layers"):
        shapes = shapes_of(model := load_model(options.model))
    density, per_atom = _surroundings(options, model)
    found = estimate(shapes, options.atoms, options.ranks, density, per_atom)
    if options.json:
        print(json.dumps({**asdict(found), "memory_bytes": found.memory_bytes}))
    else:
        print("\n".join(_table(found, options, density, per_atom)))
    return 0


def shapes_of(model: Model) -> Shapes:
    """Return what of a model decides the sizes; its layers are asked."""
    # Not at the top: it imports JAX.
    from lammps_mace.engine.capacity import CPU_CHUNKS
    from lammps_mace.engine.layer import bytes_of_pairs
    from lammps_mace.lowering.lower import lower

    find_devices()  # before anything else: says why there is none
    lowered = lower(model)
    # Where C++ kernels do not hold what belongs to one pair in registers, XLA makes arrays of it.
    in_registers = all(layer.in_registers for layer in lowered.layers)

    def of_pairs(rows: int) -> int:
        return sum(bytes_of_pairs(layer, rows, lowered.dtype) for layer in lowered.layers)

    return Shapes(
        cutoff_angstrom=lowered.cutoff_angstrom,
        exchange_widths=lowered.exchange_widths,
        skip_widths=[math.prod(layer.skip_shape) for layer in lowered.layers if layer.skip_shape],
        bytes_of_pairs=of_pairs,
        edge_width=0 if in_registers else _EDGE_ARRAYS * families.facts(model).message_width,
        chunk_atoms=CPU_CHUNKS.most_atoms,
        item_bytes=lowered.dtype.itemsize,
    )


def _surroundings(options: argparse.Namespace, model: Model) -> tuple[float, float]:
    """Return atoms per Å^3 and pairs per atom: either gives the other."""
    facts = families.facts(model)
    cutoff = facts.cutoff_angstrom
    if options.density is not None:
        return options.density, pairs_per_atom(options.density, cutoff)
    per_atom = options.pairs_per_atom or facts.avg_num_neighbors
    return per_atom / pairs_per_atom(1.0, cutoff), per_atom


def _table(
    found: Estimate, options: argparse.Namespace, density: float, per_atom: float
) -> list[str]:
    grid = " x ".join(map(str, domain_grid(options.ranks)))
    rows = {
        "system": f"{options.atoms:,} atoms, {density:.4g} per Å^3, {per_atom:.4g} pairs per atom",
        "ranks": f"{options.ranks}, as {grid}; the figures below are of one",
        "atoms": f"{found.atoms:,.0f} own, {found.ghosts:,.0f} ghosts",
        "pairs": f"{found.pairs:,.0f}, both directions",
        "exchange": f"features of {found.remote_atoms:,.0f} atoms of other ranks, "
        f"{_size(found.exchange_bytes)} per step, forward and reverse",
        "memory, features": _size(found.feature_bytes),
        "memory, pairs": _size(found.pair_bytes),
        "memory, radial": _size(found.radial_bytes),
        "memory, chunk": _size(found.chunk_bytes),
        "memory": f"{_size(found.memory_bytes)}, beside JAX, Python and LAMMPS themselves",
    }
    return [f"{name:<18}{text}" for name, text in rows.items()]


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
