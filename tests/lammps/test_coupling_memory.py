"""Memory of the coupling: LAMMPS's pair list to Python and back, without a network."""

import re

import pytest

STYLE = "pair_style mliap unified lj.model 0\npair_coeff * * Ar\nrun 0\n"
BYTES_PER_PAIR = 400

# Python's start-up file that reports this process's peak when LAMMPS asks for the report.
PEAK = """
import resource, sys, types
import potential

class Measured(potential.PluginPotential):
    def compute(self, step):
        if not hasattr(self, "before"):
            self.before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.pairs = len(step.senders)
        return super().compute(step)

    def report(self):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return f"peak {1024 * peak} of {self.pairs} pairs"

module = types.ModuleType("lammps_mace.coupling.plugin_potential")
module.PluginPotential = Measured
sys.modules["lammps_mace.coupling.plugin_potential"] = module
"""


@pytest.mark.skipif(
    "not __import__('os').environ.get('LAMMPS_MACE_LARGE')", reason="2 GB, a minute"
)
def test_bytes_per_pair_at_100000_atoms(run_lammps, classical, argon, tmp_path):
    env = classical(cutoff=6.0)
    (tmp_path / "sitecustomize.py").write_text(PEAK)
    env["PYTHONPATH"] = f"{tmp_path}:{env['PYTHONPATH']}"
    peaks = []
    for cells in (15, 30):  # 13,500 and 108,000 atoms
        script = argon.replace("block 0 5 0 5 0 5", f"block 0 {cells} 0 {cells} 0 {cells}")
        run = run_lammps(script + STYLE, env=env)
        assert run.returncode == 0, run.out
        peaks.append([int(x) for x in re.search(r"peak (\d+) of (\d+) pairs", run.out).groups()])
    (small, few), (large, many) = peaks
    print(f"{(large - small) / (many - few):.0f} bytes per pair, {many} pairs")
    assert (large - small) / (many - few) < BYTES_PER_PAIR
