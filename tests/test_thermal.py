"""The example of heat conduction: its currents, its truth and its analysis."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from example_runs import ENVIRONMENT, EXAMPLES
from programs import LAMMPS, LMP
from scipy.signal import lfilter

THERMAL = EXAMPLES / "thermal"
INPUTS = ("liquid.lmp", "in.current", "in.gradient", "stillinger_weber.py", "plot.py")


def module(name):
    """Import a file of the example under its own name, and forget it."""
    sys.path.insert(0, str(THERMAL))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(THERMAL))
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def environment():
    return {**ENVIRONMENT, "LAMMPS_POTENTIALS": str(LAMMPS / "share/lammps/potentials")}


@pytest.fixture(scope="module")
def ran(tmp_path_factory, environment):
    """Return the folder of the whole demonstration, much shorter; MACE with 96 atoms."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "silicon").mkdir()
    (folder / "thermal").mkdir()
    for end in ("model", "json", "safetensors"):
        shutil.copy(EXAMPLES / "silicon" / f"silicon.{end}", folder / "silicon")
    for name in INPUTS:
        shutil.copy(THERMAL / name, folder / "thermal")
    short = ["-screen", "none", "-var", "melting", "50", "-var", "steps"]
    small = ["-var", "nx", "2", "-var", "ny", "2", "-var", "nz", "3"]
    python = [sys.executable, "stillinger_weber.py", "--cells", "2", "--melting", "50"]
    for command in (
        [LMP, "-in", "in.current", *short, "400", *small],
        [*python, "--steps", "400"],
        [LMP, "-in", "in.gradient", *short, "100", *small],
        [LMP, "-in", "in.gradient", *short, "500", "-var", "potential", "sw"],
        [sys.executable, "plot.py"],
    ):
        subprocess.run(command, cwd=folder / "thermal", env=environment, check=True)
    return folder / "thermal"


def test_currents(ran):
    """All are finite, and LAMMPS's two-body partition of Stillinger-Weber is another current."""
    mace, sw, half = (np.loadtxt(ran / f"current.{n}") for n in ("mace", "sw", "sw.half"))
    assert len(mace) == len(half) == len(sw) + 1 == 41
    assert np.isfinite(mace).all()
    np.testing.assert_allclose(half[1:, :3], sw[:, :3], rtol=1e-5)  # step, temperature, volume
    scale = np.abs(sw[:, 3:]).mean()
    assert 0.5 < scale / np.abs(mace[:, 3:]).mean() < 2  # 64 and 96 atoms
    assert np.abs(half[1:, 3:] - sw[:, 3:]).mean() > 0.3 * scale


def test_picture(ran):
    assert (ran / "thermal.png").read_bytes().startswith(b"\x89PNG")


def test_stillinger_weber(environment, monkeypatch):
    """Energy against LAMMPS's `sw`; the current is d/dt sum_i r_i e_i of isolated atoms."""
    sw = module("stillinger_weber")
    monkeypatch.setenv("LAMMPS_POTENTIALS", environment["LAMMPS_POTENTIALS"])
    monkeypatch.chdir(THERMAL)
    lmp = sw.liquid(2, 100)
    lmp.command("run 0")
    x, v = (jnp.array(lmp.numpy.extract_atom(name)[:64]) for name in ("x", "v"))
    edge, energy = lmp.get_thermo("lx"), lmp.get_thermo("pe")
    lmp.close()
    apart = x - x[:, None]
    apart -= edge * jnp.round(apart / edge)
    assert sw.site_energies(apart).sum() == pytest.approx(energy, rel=1e-9)

    def isolated(x):
        return sw.site_energies(x - x[:, None])

    def moment(x, v):
        return (isolated(x) + 0.5 * sw.MASS * sw.EV * (v**2).sum(-1)) @ x

    force = -jax.grad(lambda x: isolated(x).sum())(x)
    rate = jax.jvp(moment, (x, v), (v, force / (sw.MASS * sw.EV)))[1]
    np.testing.assert_allclose(sw.heat_current(x, v, np.full(3, 1e3)), rate, rtol=1e-9)
    # Control: in the periodic box it is another one.
    assert np.abs(sw.heat_current(x, v, np.full(3, edge)) - rate).max() > 1e-3 * np.abs(rate).max()


def test_analysis(tmp_path, monkeypatch):
    """A current whose correlations decay exponentially, and a profile of known slope."""
    plot = module("plot")
    monkeypatch.chdir(tmp_path)
    n, decay, temperature, volume = 100_000, 0.1, 2000.0, 4000.0
    keep = np.exp(-plot.PICOSECONDS / decay)
    noise = np.random.default_rng(1).normal(0, np.sqrt(1 - keep**2), (n, 3))
    current = lfilter([1.0], [1.0, -keep], noise, axis=0)
    rows = np.column_stack([np.arange(n), np.full(n, temperature), np.full(n, volume), current])
    np.savetxt("current.mace", rows, header="three\nlines")
    time, blocks, mean = plot.running_integral("mace")
    average, error = plot.mean(blocks)
    expected = plot.W_PER_M_K * decay / (volume * plot.BOLTZMANN * temperature**2)
    at = np.searchsorted(time, plot.PLATEAU)
    assert mean == temperature
    assert abs(average[at] - expected) < 4 * error[at] < 0.2 * expected
    assert abs(average[at // 10] - expected) > 4 * error[at // 10]  # control: not yet decayed
    z = np.arange(12.0)
    slope = plot.slopes(z, np.array([1000 + 7 * np.abs(z - 6), 1000 + 5 * np.abs(z - 6)]))
    np.testing.assert_allclose(slope, [7, 5])


def test_readme_has_figures_with_errors():
    text = (THERMAL / "README.md").read_text()
    assert len(re.findall(r"\d ± \d", text)) >= 4
    assert (THERMAL / "expected.png").read_bytes().startswith(b"\x89PNG")
