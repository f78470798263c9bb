"""`lammps-mace estimate` against what LAMMPS and the engine do."""

import json
import os
import re

import pytest
from small import make_model, write_model

from lammps_mace.cli.main import main
from lammps_mace.cli.size_estimate import domain_grid, pairs_per_atom

# A random gas has Poisson noise only; the numbers of a lattice jump with the cutoff.
PAIRS, EXCHANGE = 0.05, 0.1
MEMORY = 2.0  # factor, either way

LENGTH, RANKS = 40.0, 2
SCRIPT = """
units metal
region box block 0 {length} 0 {length} 0 {length}
create_box 1 box
create_atoms 1 random {atoms} 4711 box overlap 1.2 maxtry 200
mass 1 28
pair_style mliap unified x.model 0
pair_coeff * * Si
run 0
"""
# Python's start-up file that lets each rank tell what its steps did and how large it was.
WATCH = """
import resource, sys
import lammps_mace.coupling.plugin_potential as module

original = module.PluginPotential.compute

def compute(self, step):
    sent = []
    class Counted:
        def __getattr__(self, name):
            return getattr(step, name)
        def exchange_handle(self, row_index, n_rows):
            return None  # so that exchanges come through here
        def forward_exchange(self, rows, row_index):
            sent.append(rows[row_index[step.n_local:]].nbytes)
            step.forward_exchange(rows, row_index)
        def reverse_exchange(self, rows, row_index):
            sent.append(rows[row_index[step.n_local:]].nbytes)
            step.reverse_exchange(rows, row_index)
    energy = original(self, Counted())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    remote = step.n_total - step.n_local
    # In one piece: another rank may write at the same time.
    sys.stdout.write(f"seen {len(step.senders)} {sum(sent)} {remote} {peak}\\n")
    sys.stdout.flush()
    return energy

module.PluginPotential.compute = compute
"""


@pytest.fixture
def seen(run_lammps, tmp_path):
    """Return a function: atoms -> LAMMPS's mean ghosts, and of each rank
    [pairs, exchanged bytes, atoms of others, peak bytes]."""
    # So many channels that what compiling takes, tens of MB, is small beside the features.
    config = {"num_channels": 64, "l_max": 1, "correlation": 1, "radial_mlp_hidden": (4,)}
    write_model(tmp_path / "x.model", make_model(**config))
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    path = f"{tmp_path / 'watch'}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")

    def run(atoms):
        script = SCRIPT.format(length=LENGTH, atoms=atoms)
        done = run_lammps(script, RANKS, {"PYTHONPATH": path, "XLA_FLAGS": ""}, timeout=300)
        assert done.returncode == 0, done.out
        found = re.findall(r"seen (\d+) (\d+) (\d+) (\d+)", done.out)
        assert len(found) == RANKS, done.out
        [ghosts] = re.findall(r"Nghost: +(\S+) ave", done.out)
        return float(ghosts), [[int(number) for number in rank] for rank in found]

    return run


def estimated(capsys, path, *arguments):
    assert main(["estimate", str(path), *arguments]) == 0
    return capsys.readouterr().out


def test_estimate_equals_a_run(seen, tmp_path, capsys):
    atoms = 6400
    density = ["--density", str(atoms / LENGTH**3), "--ranks", str(RANKS), "--json"]
    path = tmp_path / "x.model"
    found = json.loads(estimated(capsys, path, "--atoms", str(atoms), *density))
    (_, small), (ghosts, large) = seen(64), seen(atoms)
    pairs, exchanged, remote, _ = (sum(column) / RANKS for column in zip(*large, strict=True))
    # Atoms may not be closer than 1.2 Å: that part of the sphere is empty.
    free = pairs_per_atom(1, 4.0) - pairs_per_atom(1, 1.2)
    assert found["pairs"] * free / pairs_per_atom(1, 4.0) == pytest.approx(pairs, rel=PAIRS)
    assert found["ghosts"] == pytest.approx(ghosts, rel=EXCHANGE)
    assert found["remote_atoms"] == pytest.approx(remote, rel=EXCHANGE)
    assert found["exchange_bytes"] == pytest.approx(exchanged, rel=EXCHANGE)
    # Compiled code and libraries are in both.
    grown = sum(b[3] - a[3] for a, b in zip(small, large, strict=True)) / RANKS
    assert 1 / MEMORY < found["memory_bytes"] / grown < MEMORY, grown
    # Control: half the atoms are told apart.
    half = json.loads(estimated(capsys, path, "--atoms", str(atoms // 2), *density))
    assert half["exchange_bytes"] != pytest.approx(exchanged, rel=EXCHANGE)
    assert half["pairs"] != pytest.approx(pairs, rel=PAIRS)


def test_table(tmp_path, capsys):
    path = write_model(tmp_path / "x.model", make_model())
    out = estimated(capsys, path, "--atoms", "8000", "--ranks", "8")
    assert "8,000 atoms, 0.0373 per Å^3, 10 pairs per atom" in out
    assert "8, as 2 x 2 x 2" in out
    assert "10,000, both directions" in out
    one = estimated(capsys, path, "--atoms", "8000", "--pairs-per-atom", "20")
    assert "160,000, both directions" in one
    assert "0 B per step" in one


@pytest.mark.parametrize("argument", ["--atoms=0", "--ranks=-1", "--density=nan"])
def test_refusals(argument, tmp_path, capsys):
    path = write_model(tmp_path / "x.model", make_model())
    assert main(["estimate", str(path), "--atoms=8", argument]) == 2
    assert f"{argument.split('=')[0]} must be positive" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ranks", "grid"), [(1, (1, 1, 1)), (6, (1, 2, 3)), (7, (1, 1, 7)), (64, (4, 4, 4))]
)
def test_grid_of_a_cube(ranks, grid):
    assert tuple(sorted(domain_grid(ranks))) == grid
