"""Draw melt.png: temperature, energy and radial distribution of MACE against Stillinger-Weber.

Reads thermo.mace, thermo.sw, rdf.mace.solid, rdf.sw.solid, rdf.mace.liquid and rdf.sw.liquid
from the working directory, where in.melt wrote them.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

PICOSECONDS_PER_STEP = 0.002
STYLES = {
    "sw": ("Stillinger-Weber", {"color": "0.55", "linewidth": 3.0}),
    "mace": ("MACE", {"color": "tab:red", "linewidth": 1.2}),
}


def thermo(potential: str) -> dict[str, np.ndarray]:
    """Return time (ps), temperature (K), potential energy (eV/atom) and density (g/cm3)."""
    columns = np.loadtxt(_written_by_melt(f"thermo.{potential}")).T
    names = ("time", "temperature", "energy", "density")
    return {**dict(zip(names, columns, strict=True)), "time": columns[0] * PICOSECONDS_PER_STEP}


def distribution(potential: str, phase: str) -> tuple[np.ndarray, np.ndarray]:
    """Return distances (Å) and g(r)."""
    # Three lines of comments are followed by one that says the step and the number of rows.
    rows = np.loadtxt(_written_by_melt(f"rdf.{potential}.{phase}"), skiprows=4)
    return rows[:, 1], rows[:, 2]


def _written_by_melt(name: str) -> Path:
    path = Path(name)
    if not path.exists():
        raise SystemExit(f"plot.py: {name} is missing; run in.melt here first (see README.md)")
    return path


def draw() -> plt.Figure:
    """Return the figure."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    (top_left, top_right), (bottom_left, bottom_right) = axes
    for potential, (label, style) in STYLES.items():
        data = thermo(potential)
        top_left.plot(data["time"], data["temperature"], label=label, **style)
        top_right.plot(data["time"], data["energy"], label=label, **style)
        for axis, phase in ((bottom_left, "solid"), (bottom_right, "liquid")):
            axis.plot(*distribution(potential, phase), label=label, **style)
    top_left.set(xlabel="time / ps", ylabel="temperature / K", title="Temperature")
    top_right.set(xlabel="time / ps", ylabel="energy / (eV/atom)", title="Potential energy")
    bottom_left.set(title="Solid, 1500 K")
    bottom_right.set(title="Liquid, 3000 K")
    for axis in (bottom_left, bottom_right):
        axis.set(xlabel="distance / Å", ylabel="g(r)", xlim=(1.5, 6.5), ylim=(0, None))
    for axis in axes.flat:
        axis.legend(frameon=False)
        axis.grid(alpha=0.3)
    figure.suptitle("512 silicon atoms heated through melting")
    return figure


def main() -> None:
    """Write melt.png."""
    draw().savefig("melt.png", dpi=130)
    print("wrote melt.png")


if __name__ == "__main__":
    main()
