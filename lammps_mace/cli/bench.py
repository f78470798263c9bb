"""`lammps-mace bench`: time of a model in the real LAMMPS, per atom and step."""

from __future__ import annotations

import argparse
import json
import math
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

import numpy as np

from lammps_mace.cli.lammps_process import lammps_box, run_script, write_data
from lammps_mace.cli.progress import progress
from lammps_mace.cli.structure import read_structure
from lammps_mace.coupling.log_report import read_compilations, read_peak_memory, read_stages
from lammps_mace.modelfile import Model, load_model
from lammps_mace.models import families
from lammps_mace.models.elements import SYMBOLS

if TYPE_CHECKING:
    from ase import Atoms

# Every tenth step makes new neighbour lists, as a simulation would; nothing moves, so that every
# run does the same.
_SCRIPT = """units metal
atom_style atomic
boundary {boundary}
box tilt large
read_data start.data
pair_style mliap unified "{model}"
pair_coeff * * {elements}
neighbor 1.0 bin
neigh_modify every 10 delay 0 check no
thermo {steps}
run 2 post no
run {steps}
"""


@dataclass(frozen=True)
class Timing:
    """One run.

    Attributes:
        atoms, ranks, steps: of the run.
        microseconds: wall time per atom and step, the whole of LAMMPS.
        rank_microseconds: the same times the number of ranks.
        stages: of our part, us of a rank per atom and step; what is missing to rank_microseconds
            is LAMMPS itself, its pair lists and waiting.
        peak_mib: largest memory of a rank.
        compilations: of each jitted function, the most of any rank.
    """

    atoms: int
    ranks: int
    steps: int
    microseconds: float
    rank_microseconds: float
    stages: dict[str, float]
    peak_mib: int
    compilations: dict[str, int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", help="the model file, X.model")
    parser.add_argument(
        "--atoms", default="256,2048",
        help="sizes of crystals that are made for it, about so many atoms (256,2048)",
    )  # fmt: skip
    parser.add_argument("--ranks", default="1", help="MPI ranks, with commas: 1,2,4 (1)")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each run (20)")
    parser.add_argument("--structure", help="file that ASE reads, instead of --atoms")
    parser.add_argument(
        "--rattle", type=float, default=0.1, help="displacements in --atoms' crystals, Å (0.1)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the timings there as well")


def run(options: argparse.Namespace) -> int:
    """Time all combinations and print a table; each timing is written as soon as it is there."""
    sizes, all_ranks = (_numbers(name, getattr(options, name)) for name in ("atoms", "ranks"))
    if options.steps < 1:
        raise ValueError(f"--steps={options.steps}: time at least one step")
    if not 0 <= options.rattle < math.inf:
        raise ValueError(
            f"--rattle={options.rattle:g}: give a length in Å, 0 for a perfect crystal"
        )
    path = Path(options.model)
    model = load_model(path)
    if options.structure:
        structures = [read_structure(options.structure)]
    else:
        structures = [make_structure(model, n, options.rattle) for n in sizes]
    if options.json:
        _open(options.json, "a").close()  # what cannot be written shows now
    timings: list[Timing] = []
    print(_HEAD)
    for atoms in structures:
        for ranks in all_ranks:
            what = f"{len(atoms)} atoms on {ranks} rank{'s' if ranks > 1 else ''}"
            number = f"run {len(timings) + 1} of {len(structures) * len(all_ranks)}"
            with progress(f"{number}: {what}, {options.steps} steps"):
                timings.append(measure(path, atoms, ranks, options.steps))
            print(_row(timings[-1]), flush=True)
            if options.json:
                with _open(options.json, "w") as file:
                    file.write(json.dumps([asdict(t) for t in timings], indent=1) + "\n")
    return 0


def measure(path: Path, atoms: Atoms, ranks: int, steps: int) -> Timing:
    """Time one structure on some ranks.

    Raises:
        LammpsError: LAMMPS ended with an error.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        box = lammps_box(np.array(atoms.positions), np.array(atoms.cell), np.array(atoms.pbc))
        elements = write_data(atoms, box, folder)
        script = _SCRIPT.format(
            boundary=" ".join("p" if one else "f" for one in atoms.pbc),
            model=path.resolve(), elements=" ".join(elements), steps=steps,
        )  # fmt: skip
        run_script(script, ranks, folder)
        log = (folder / "log.lammps").read_text(errors="replace")
    seconds = float(re.findall(r"^Loop time of (\S+) on", log, re.MULTILINE)[-1])
    wall = 1e6 * seconds / (len(atoms) * steps)
    return Timing(
        len(atoms), ranks, steps, wall, wall * ranks, read_stages(log), read_peak_memory(log),
        read_compilations(log),
    )  # fmt: skip


def make_structure(model: Model, n_atoms: int, rattle: float) -> Atoms:
    """Return about so many atoms near a face-centred cubic lattice, elements at random.

    The lattice is as dense as the model's training data: its mean number of neighbours. No plane
    of atoms lies where ranks meet, so that those have equal shares.

    Args:
        rattle: standard deviation of the displacements, Å.
    """
    from ase import Atoms
    from ase.build import bulk

    facts = families.facts(model)
    density = facts.avg_num_neighbors / (4 / 3 * np.pi * facts.cutoff_angstrom**3)
    cell = bulk("X", "fcc", a=(4 / density) ** (1 / 3), cubic=True)
    cell.positions += cell.cell.lengths() / 4
    edge = max(1, round((n_atoms / 4) ** (1 / 3)))
    layers = max(1, round(n_atoms / (4 * edge * edge)))
    crystal = cell.repeat((edge, edge, layers))
    known = sorted(SYMBOLS.index(symbol) + 1 for symbol in facts.known_elements)
    numbers = np.random.default_rng(0).choice(known, len(crystal))
    atoms = Atoms(numbers, crystal.positions, cell=crystal.cell, pbc=True)
    atoms.rattle(rattle, seed=1)
    return atoms


def _open(path: str, mode: str) -> TextIO:
    try:
        return cast("TextIO", Path(path).open(mode))
    except OSError as error:
        reason = f"{error.strerror}; name a file in a folder that you may write to"
        raise ValueError(f"--json={path!r}: {reason}") from None


def _numbers(name: str, text: str) -> list[int]:
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise ValueError(f"--{name}={text!r}: give positive whole numbers, with commas between")
    return numbers


_HEAD = "   atoms ranks  us/atom/step  MiB/rank  compilations  stages (us of a rank per atom)"


def _row(timing: Timing) -> str:
    stages = ", ".join(f"{name} {value:.1f}" for name, value in timing.stages.items())
    compilations = max(timing.compilations.values(), default=0)
    return (
        f"{timing.atoms:8d} {timing.ranks:5d} {timing.microseconds:13.1f} {timing.peak_mib:9d} "
        f"{compilations:13d}  {stages}"
    )
