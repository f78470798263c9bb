"""Draw thermal.png and print the conductivities of MACE and Stillinger-Weber, with errors.

Reads current.*, profile.* and power.* from the working directory, where demo.sh wrote them.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

BOLTZMANN = 8.617333e-5  # eV/K
W_PER_M_K = 1602.1766  # of one eV/(Å ps K)
PICOSECONDS = 0.02  # between two rows of current.*
LONGEST = 3.0  # ps, in the picture
PLATEAU = 1.0  # ps: where the running integral is read; chosen before the runs
BLOCKS = 10
SLABS = 12  # the first is hot, the seventh is cold
CURRENTS = {
    "mace": ("MACE", "tab:red"),
    "sw": ("Stillinger-Weber", "0.45"),
    "sw.half": ("Stillinger-Weber, stress/atom", "tab:blue"),
}


def autocorrelation(current: np.ndarray, lags: int) -> np.ndarray:
    """Return <J(0) . J(t)> / 3 of a series [n, 3] for ``lags`` times."""
    n = len(current)
    spectrum = np.abs(np.fft.rfft(current, 2 * n, axis=0)) ** 2
    sums = np.fft.irfft(spectrum.sum(axis=1))[:lags]
    return sums / (n - np.arange(lags)) / 3


def running_integral(name: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Return times [m] (ps), conductivity [blocks, m] (W/(m K)) up to them, and temperature (K)."""
    rows = np.loadtxt(_written(f"current.{name}"))
    temperature, volume = rows[:, 1].mean(), rows[:, 2].mean()
    lags = round(LONGEST / PICOSECONDS) + 1
    length = len(rows) // BLOCKS
    blocks = rows[: BLOCKS * length, 3:].reshape(BLOCKS, length, 3)
    c = np.array([autocorrelation(block, min(lags, length)) for block in blocks])
    steps = PICOSECONDS * 0.5 * (c[:, 1:] + c[:, :-1])
    integral = np.concatenate([np.zeros((len(c), 1)), steps.cumsum(axis=1)], axis=1)
    scale = W_PER_M_K / (volume * BOLTZMANN * temperature**2)
    return np.arange(integral.shape[1]) * PICOSECONDS, scale * integral, temperature


def profiles(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the middles of the slabs [12] (Å) and their temperatures [blocks, 12] (K)."""
    lines = _written(f"profile.{name}").read_text().splitlines()
    rows = np.array([line.split() for line in lines if len(line.split()) == 4 and line[0] == " "])
    table = rows.astype(float).reshape(-1, SLABS, 4)
    return table[0, :, 1], table[:, :, 3]


def slopes(z: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """Return -dT/dz [blocks] (K/Å): the mean of both sides, without the heated slabs."""
    down = np.polyfit(z[1:6], temperature[:, 1:6].T, 1)[0]
    up = np.polyfit(z[7:], temperature[:, 7:].T, 1)[0]
    return (up - down) / 2


def from_gradient(name: str) -> tuple[float, float, float]:
    """Return conductivity and its error (W/(m K)), and the mean temperature (K)."""
    power, area = np.loadtxt(_written(f"power.{name}"))
    slope, error = mean(slopes(*profiles(name)))
    conductivity = W_PER_M_K * power / (2 * area) / slope
    return conductivity, conductivity * error / slope, profiles(name)[1].mean()


def mean(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over blocks and its standard error."""
    return blocks.mean(axis=0), blocks.std(axis=0, ddof=1) / np.sqrt(len(blocks))


def _written(name: str) -> Path:
    path = Path(name)
    if not path.exists():
        raise SystemExit(f"plot.py: {name} is missing; run demo.sh here first (see README.md)")
    return path


def draw() -> plt.Figure:
    """Return the figure, and print the table of README.md."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    print("conductivity in W/(m K)")
    for name, (label, color) in CURRENTS.items():
        time, blocks, temperature = running_integral(name)
        average, error = mean(blocks)
        left.plot(time, average, color=color, label=label)
        left.fill_between(time, average - error, average + error, color=color, alpha=0.2, lw=0)
        at = min(round(PLATEAU / PICOSECONDS), len(time) - 1)
        print(f"current,  {label:30s} {average[at]:.2f} +- {error[at]:.2f}  {temperature:.0f} K")
    for name in ("mace", "sw"):
        label, color = CURRENTS[name]
        z, temperatures = profiles(name)
        average, error = mean(temperatures)
        right.errorbar(z, average, error, color=color, label=label, marker="o", capsize=2)
        conductivity, error, temperature = from_gradient(name)
        print(f"gradient, {label:30s} {conductivity:.2f} +- {error:.2f}  {temperature:.0f} K")
    left.axvline(PLATEAU, color="0.7", linestyle=":")
    left.set(title="Green-Kubo: integral of the current's autocorrelation", ylim=(0, None))
    left.set(xlabel="time / ps", ylabel="conductivity / (W/(m K))", xlim=(0, LONGEST))
    right.set(title="Between a hot and a cold slab", xlabel="z / Å", ylabel="temperature / K")
    for axis in (left, right):
        axis.legend(frameon=False)
        axis.grid(alpha=0.3)
    figure.suptitle("Heat conduction of liquid silicon")
    return figure


def main() -> None:
    """Write thermal.png."""
    draw().savefig("thermal.png", dpi=110)
    print("wrote thermal.png")


if __name__ == "__main__":
    main()
