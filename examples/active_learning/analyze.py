"""Set the deviation of the committee against its true error, and choose frames for labelling.

Reads frames.lammpstrj, devi.out and thermo.txt from the working directory, where in.heat wrote
them. Writes active.png, and candidates.xyz with the frames whose deviation exceeds a threshold.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from ase import Atoms
from ase.io import read, write
from scipy.stats import rankdata

sys.path.insert(0, str(Path(__file__).parents[1] / "silicon"))

from data import evaluate, session

mpl.use("Agg")
import matplotlib.pyplot as plt

PICOSECONDS_PER_STEP = 0.002
BOND = 2.352  # Å, in the crystal


def frames() -> list[Atoms]:
    """Return the frames of in.heat: forces, and the deviation of each atom, eV/Å."""
    return read(_written("frames.lammpstrj"), index=":", format="lammps-dump-text")


def deviations(frame: Atoms) -> np.ndarray:
    """Return the deviation of the models' forces on each atom [n], eV/Å."""
    return frame.arrays["f_deviation"].ravel()


def true_errors(run: list[Atoms]) -> np.ndarray:
    """Return |F - F of Stillinger-Weber| of each atom [n_frames, n], eV/Å."""
    with session() as lmp:
        truth = [evaluate(lmp, "", f.cell.array, f.positions - f.get_celldisp().T) for f in run]
    differences = [f.get_forces() - t.forces for f, t in zip(run, truth, strict=True)]
    return np.linalg.norm(differences, axis=-1)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's coefficient; 0 where one of them is the same everywhere."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _both(apart: np.ndarray, wrong: np.ndarray, worst: np.ndarray, most_wrong: np.ndarray) -> str:
    per_atom, per_frame = correlation(apart, wrong), correlation(worst, most_wrong)
    return f"{per_atom:.2f} per atom, {per_frame:.2f} per frame"


def choose(run: list[Atoms], threshold: float) -> list[Atoms]:
    """Return the frames in which an atom's deviation exceeds ``threshold`` (eV/Å)."""
    return [frame for frame in run if deviations(frame).max() > threshold]


def write_candidates(chosen: list[Atoms]) -> None:
    """Write candidates.xyz: positions, and each atom's deviation; forces are not known yet."""
    frames = []
    for frame in chosen:
        unlabelled = Atoms(frame.symbols, frame.positions, cell=frame.cell, pbc=True)
        unlabelled.arrays["force_deviation"] = deviations(frame)
        frames.append(unlabelled)
    write("candidates.xyz", frames, format="extxyz")


def read_thermo() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return time, ps, temperature, K, and mean squared displacement, Å^2, of each frame."""
    steps, temperature, _, moved = np.loadtxt(_written("thermo.txt"), ndmin=2).T
    return steps * PICOSECONDS_PER_STEP, temperature, moved


def melted(moved: np.ndarray) -> np.ndarray:
    """Return whether atoms have moved a bond's length from their sites, and go on, [n_frames]."""
    return np.minimum.accumulate(moved[::-1])[::-1] > BOND**2


def describe_melt(time: np.ndarray, moved: np.ndarray) -> str:
    """Return when the crystal was molten, and the diffusion coefficient of the liquid."""
    liquid = melted(moved)
    if liquid.sum() < 3:
        return f"no liquid: atoms have moved {np.sqrt(moved[-1]):.1f} Å from their sites"
    slope = np.polyfit(time[liquid], moved[liquid], 1)[0]
    return (
        f"liquid from {time[liquid][0]:.1f} ps on; in the end atoms have moved "
        f"{np.sqrt(moved[-1]):.1f} Å; diffusion {slope / 6:.2f} Å^2/ps"
    )


def _written(name: str) -> Path:
    path = Path(name)
    if not path.exists():
        raise SystemExit(f"analyze.py: {name} is missing; run in.heat here first (see README.md)")
    return path


def draw(apart: np.ndarray, wrong: np.ndarray, threshold: float) -> plt.Figure:
    """Return the figure; ``apart`` and ``wrong`` are [n_frames, n], eV/Å."""
    time, temperature, moved = read_thermo()
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    left.plot(time, wrong.max(axis=1), color="0.45", label="true error, largest of a frame")
    left.plot(time, apart.max(axis=1), color="tab:red", label="deviation, largest of a frame")
    left.axhline(threshold, color="tab:red", linestyle=":", label="threshold")
    if (liquid := melted(moved)).any():
        left.axvspan(time[liquid][0], time[-1], color="tab:orange", alpha=0.15, label="liquid")
    left.set(
        xlabel="time / ps",
        ylabel="eV/Å",
        yscale="log",
        title="From crystal to melt",
    )
    left.set_ylim(1e-2, 1e1)  # not the perfect crystal of the start, in which there are no forces
    warm = left.twinx()
    warm.plot(time, temperature, color="tab:blue", linewidth=0.8)
    warm.set_ylabel("temperature / K", color="tab:blue")
    shade = np.repeat(time, apart.shape[1])
    dots = right.scatter(apart, wrong, c=shade, s=2, alpha=0.5, linewidths=0)
    ends = [1e-3, max(apart.max(), 1.0)]
    right.plot(ends, ends, color="0.7", linewidth=0.8)
    right.set(xscale="log", yscale="log", xlim=(1e-3, None), ylim=(1e-3, None))
    right.set(xlabel="deviation / (eV/Å)", ylabel="true error / (eV/Å)")
    right.set_title("Each atom of each frame")
    figure.colorbar(dots, label="time / ps")
    left.legend(frameon=False, loc="upper left")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.suptitle("A committee trained without liquids, set against Stillinger-Weber")
    return figure


def main() -> None:
    """Write active.png and candidates.xyz, and print correlations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threshold", type=float, default=0.5, help="eV/Å")
    threshold = parser.parse_args().threshold
    run = frames()
    apart, wrong = np.array([deviations(frame) for frame in run]), true_errors(run)
    largest = apart.max(axis=1), wrong.max(axis=1)
    print("correlation of deviation and true error:", _both(apart, wrong, *largest))
    ranks = rankdata(apart), rankdata(wrong)
    print("of their ranks:", _both(*ranks, *map(rankdata, largest)))
    time, _, moved = read_thermo()
    print(describe_melt(time, moved))
    chosen = choose(run, threshold)
    write_candidates(chosen)
    print(
        f"candidates.xyz: {len(chosen)} of {len(run)} frames, with a deviation above "
        f"{threshold} eV/Å"
    )
    draw(apart, wrong, threshold).savefig("active.png", dpi=90)
    print("wrote active.png")


if __name__ == "__main__":
    main()
