"""Draw melt.png: distributions, partial charges and total energy of the melt, MACE and classical.

Reads rdf.*, energy.* and charges.mace from the working directory, where in.melt wrote them.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

PICOSECONDS_PER_STEP = 0.001
STYLES = {
    "classical": ("classical", {"color": "0.55", "linewidth": 3.0}),
    "mace": ("MACE", {"color": "tab:red", "linewidth": 1.2}),
}
PAIRS = ("Na-Na", "Na-Cl", "Cl-Cl")
IONS = {1: ("Na", "tab:purple"), 2: ("Cl", "tab:green")}


def distributions(potential: str) -> tuple[np.ndarray, np.ndarray]:
    """Return distances [n] (Å) and g(r) of the three pairs [3, n]."""
    # Three lines of comments are followed by one that says the step and the number of rows.
    rows = np.loadtxt(_written(f"rdf.{potential}"), skiprows=4)
    return rows[:, 1], rows[:, [2, 4, 6]].T


def charges() -> dict[int, np.ndarray]:
    """Return the charges (e) of every type in all frames of the dump."""
    frames = (
        _written("charges.mace").read_text().split("ITEM: ATOMS id type q x y z fx fy fz\n")[1:]
    )
    lines = [line.split() for frame in frames for line in frame.split("ITEM:")[0].splitlines()]
    types, values = np.array([int(words[1]) for words in lines]), [float(w[2]) for w in lines]
    return {kind: np.array(values)[types == kind] for kind in IONS}


def _written(name: str) -> Path:
    path = Path(name)
    if not path.exists():
        raise SystemExit(f"plot.py: {name} is missing; run in.melt here first (see README.md)")
    return path


def draw() -> plt.Figure:
    """Return the figure."""
    figure, axes = plt.subplots(2, 3, figsize=(13, 7), layout="constrained")
    for potential, (label, style) in STYLES.items():
        distance, functions = distributions(potential)
        for axis, function, pair in zip(axes[0], functions, PAIRS, strict=True):
            axis.plot(distance, function, label=label, **style)
            axis.set(
                title=pair, xlabel="distance / Å", ylabel="g(r)", xlim=(1.8, 8), ylim=(0, None)
            )
        step, temperature, energy = np.loadtxt(_written(f"energy.{potential}")).T
        time = step * PICOSECONDS_PER_STEP
        axes[1, 1].plot(time, 1000 * (energy - energy[0]), label=label, **style)
        axes[1, 2].plot(time, temperature, label=label, **style)
    for kind, values in charges().items():
        name, color = IONS[kind]
        axes[1, 0].hist(values, bins=60, color=color, alpha=0.7, label=name)
    axes[1, 0].set(title="Partial charges of MACE", xlabel="charge / e", ylabel="ions")
    axes[1, 1].set(title="Constant energy", xlabel="time / ps", ylabel="E - E(0) / (meV/ion)")
    axes[1, 2].set(title="Temperature", xlabel="time / ps", ylabel="T / K")
    for axis in axes.flat:
        axis.legend(frameon=False)
        axis.grid(alpha=0.3)
    figure.suptitle("512 ions of molten NaCl")
    return figure


def main() -> None:
    """Write melt.png."""
    draw().savefig("melt.png", dpi=110)
    print("wrote melt.png")


if __name__ == "__main__":
    main()
