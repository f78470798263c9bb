"""make bench: peers in turn with ours, one pinned core; results.json, results.md, results.png.

Every program runs in a process of its own, each case several times around, and the ratio of a
round is that of neighbours in time: a machine whose speed drifts does not change it much.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from systems import ARCHITECTURES, PUBLISHED, Architecture, write_case

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        architecture: what runs.
        cells, rattle: the structure: 8 cells^3 atoms, displaced by so many Å.
        peers: programs that take part.
        isa: instruction set that our kernels are forced to; the peers take what they like.
    """

    architecture: Architecture
    cells: int
    rattle: float
    peers: tuple[str, ...] = ("symmetrix-xl",)
    isa: str | None = None

    @property
    def name(self) -> str:
        """Name of its folder."""
        words = self.title.replace(", ", "-").replace(" ", "-").replace("=", "")
        return f"{words}-{8 * self.cells**3}-{self.rattle}"

    @property
    def title(self) -> str:
        """What the table calls it."""
        return self.architecture.name + (f", {self.isa}" if self.isa else "")


REFERENCE, SCALARS, DEGREE_2, NARROW, FOUR, DEFAULT = ARCHITECTURES
CASES = (
    Case(REFERENCE, 3, 0.05, ("symmetrix-xl", "mlip", "mace-torch")),
    Case(REFERENCE, 3, 0.5),
    Case(REFERENCE, 6, 0.05),
    Case(REFERENCE, 6, 0.5),
    Case(REFERENCE, 3, 0.05, isa="avx2"),
    Case(REFERENCE, 6, 0.5, isa="avx2"),
    Case(SCALARS, 3, 0.05),
    Case(DEGREE_2, 3, 0.05),
    Case(NARROW, 3, 0.05),
    Case(FOUR, 3, 0.05),
    Case(DEFAULT, 3, 0.05, ("mlip",)),
    *(Case(published, 3, 0.05) for published in PUBLISHED),
)


def main() -> None:
    """Run all cases and write the results."""
    options = _options()
    cases = [case for case in CASES if options.only in case.name]
    rows = []
    for case in cases:
        rows.append(run_case(case, options))
        print(_line(rows[-1]), flush=True)
        (options.work / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    (options.work / "results.md").write_text(table(rows))
    draw(rows, options.work / "results.png")
    print(table(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="environment of the peers")
    parser.add_argument("--work", type=Path, default=HERE / "work")
    parser.add_argument("--only", default="", help="part of the names of the cases")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each program and round")
    parser.add_argument("--core", type=int, default=0)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    return options


def run_case(case: Case, options: argparse.Namespace) -> dict:
    """Return the microseconds per atom of every program, a list of rounds each."""
    folder = (options.work / case.name).resolve()
    n_atoms = write_case(folder, case.architecture, case.cells, case.rattle)
    pin = ["taskset", "-c", str(options.core)]
    python = str(options.peers.resolve() / "bin" / "python")
    if {"mace-torch", "symmetrix-xl"} & set(case.peers):
        run([python, "peers/mace_torch.py", "build", str(folder)])
    if "symmetrix-xl" in case.peers:
        extract = options.peers.resolve() / "bin" / "symmetrix_extract_mace"
        out = folder / "case.symmetrix.json"
        command = [str(extract), "--model", str(folder / "case.model"), "--output", str(out)]
        if not case.architecture.whole:
            command += ["--atomic-numbers", *map(str, case.architecture.elements)]
        run(command)
    if case.architecture.published is None:
        run([str(BIN / "python"), "ours.py", str(folder)])
    else:
        model = str(folder / "ours.model")
        wanted = ["--head", case.architecture.head or "0", "--dtype", case.architecture.dtype]
        source = str(folder / "case.model")
        run([str(BIN / "lammps-mace"), "convert", source, "-o", model, *wanted])
    programs: dict[str, Callable[[], float]] = {
        "lammps-mace": lambda: ours(folder, pin, n_atoms, case.isa)
    }
    commands = {
        "symmetrix-xl": [python, "peers/symmetrix_xl.py"],
        "mace-torch": [python, "peers/mace_torch.py"],
        "mlip": [str(BIN / "python"), "peers/mlip.py"],
    }
    for name in case.peers:
        command = [*pin, *commands[name], str(folder), str(options.seconds)]
        programs[name] = lambda command=command: peer(command, n_atoms)
    rounds = [{name: program() for name, program in programs.items()} for _ in range(
        options.rounds)]  # fmt: skip
    return {
        "case": case.name, "architecture": case.title, "atoms": n_atoms,
        "rattle": case.rattle, "rounds": rounds,
    }  # fmt: skip


def ours(folder: Path, pin: list[str], n_atoms: int, isa: str | None) -> float:
    """Return our microseconds per atom and step, of a real LAMMPS run."""
    return timing(folder, pin, n_atoms, isa)["microseconds"]


def timing(folder: Path, pin: list[str], n_atoms: int, isa: str | None = None) -> dict:
    """Return what `lammps-mace bench` says of ours.model and case.xyz in a folder."""
    out = folder / "timing.json"  # ours.json is the model's own
    steps = str(max(5, 40000 // n_atoms))
    run([*pin, str(BIN / "lammps-mace"), "bench", str(folder / "ours.model"), "--structure",
         str(folder / "case.xyz"), "--steps", steps, "--json", str(out)],
        {"LAMMPS_MACE_ISA": isa} if isa else {})  # fmt: skip
    [result] = json.loads(out.read_text())
    return result


def peer(command: list[str], n_atoms: int) -> float:
    """Return a peer's microseconds per atom, the median of its calls."""
    seconds = json.loads(run(command).splitlines()[-1])["seconds"]
    return 1e6 * statistics.median(seconds) / n_atoms


def run(command: list[str], more: dict[str, str] | None = None) -> str:
    """Run a program with one thread and ``more`` in its environment; return what it printed."""
    env = {
        **os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
        **(more or {}),
    }  # fmt: skip
    done = subprocess.run(
        command, cwd=HERE, env=env, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr[-4000:]}")
    return done.stdout


def ratio(row: dict, name: str) -> float:
    """Return our time over a peer's, the median of the rounds."""
    return statistics.median(one["lammps-mace"] / one[name] for one in row["rounds"])


def middle(row: dict, name: str) -> float:
    """Return the median microseconds per atom of a program."""
    return statistics.median(one[name] for one in row["rounds"])


def _line(row: dict) -> str:
    times = ", ".join(f"{name} {middle(row, name):.1f}" for name in row["rounds"][0])
    return f"{row['case']}: us/atom {times}"


def table(rows: list[dict]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| architecture | atoms | rattle, Å | lammps-mace, µs/atom | peer | its µs/atom "
        "| ours / its |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_table_row(row, name) for row in rows for name in list(row["rounds"][0])[1:]]
    return "\n".join(lines) + "\n"


def _table_row(row: dict, name: str) -> str:
    return (
        f"| {row['architecture']} | {row['atoms']} | {row['rattle']} "
        f"| {middle(row, 'lammps-mace'):.1f} | {name} | {middle(row, name):.1f} "
        f"| {ratio(row, name):.3f} |"
    )


def draw(rows: list[dict], path: Path) -> None:
    """Draw the times of all programs as bars on a logarithmic scale."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure, axes = plt.subplots(figsize=(9, 0.6 * len(rows) + 1.5))
    known = ("lammps-mace", "symmetrix-xl", "mlip", "mace-torch")
    names = [name for name in known if any(name in row["rounds"][0] for row in rows)]
    height = 0.8 / len(names)
    for k, name in enumerate(names):
        bars = [(i + k * height, middle(r, name)) for i, r in enumerate(rows) if name in
                r["rounds"][0]]  # fmt: skip
        if bars:
            axes.barh(*zip(*bars, strict=True), height=height, label=name)
    middles = [i + (len(names) - 1) * height / 2 for i in range(len(rows))]
    axes.set_yticks(middles, [row["case"] for row in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(left=10)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("µs per atom, energy and forces, one core")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(names), frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
