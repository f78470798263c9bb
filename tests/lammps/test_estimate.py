"""`lammps-mace estimate` against what LAMMPS and the engine do."""

import json
import os
import re

import numpy as np
import pytest
from small import make_model, write_model
from torch_small import NON_LINEAR, config_of, make_torch_model

from lammps_mace import save_model
from lammps_mace.cli.main import main
from lammps_mace.cli.size_estimate import domain_grid, pairs_per_atom
from lammps_mace.lowering.lower import lower

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


# So many channels that what compiling takes, tens of MB, is small beside the features.
CONFIG = {"num_channels": 64, "l_max": 1, "correlation": 1, "radial_mlp_hidden": (4,)}
# So many radial functions, in each of two layers, that these are more than everything else.
RADIAL = {**CONFIG, "num_channels": 32, "radial_mlp_hidden": (128,)}


@pytest.fixture
def seen(run_lammps, tmp_path):
    """Return a function: atoms -> LAMMPS's mean ghosts, and of each rank
    [pairs, exchanged bytes, atoms of others, peak bytes]; of x.model."""
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


def growth(small, large):
    """Return the mean growth of the peak; compiled code and libraries are in both."""
    return sum(b[3] - a[3] for a, b in zip(small, large, strict=True)) / RANKS


def test_estimate_equals_a_run(seen, tmp_path, capsys):
    atoms = 6400
    density = ["--density", str(atoms / LENGTH**3), "--ranks", str(RANKS), "--json"]
    path = write_model(tmp_path / "x.model", make_model(**CONFIG))
    found = json.loads(estimated(capsys, path, "--atoms", str(atoms), *density))
    (_, small), (ghosts, large) = seen(64), seen(atoms)
    pairs, exchanged, remote, _ = (sum(column) / RANKS for column in zip(*large, strict=True))
    # Atoms may not be closer than 1.2 Å: that part of the sphere is empty.
    free = pairs_per_atom(1, 4.0) - pairs_per_atom(1, 1.2)
    assert found["pairs"] * free / pairs_per_atom(1, 4.0) == pytest.approx(pairs, rel=PAIRS)
    assert found["ghosts"] == pytest.approx(ghosts, rel=EXCHANGE)
    assert found["remote_atoms"] == pytest.approx(remote, rel=EXCHANGE)
    assert found["exchange_bytes"] == pytest.approx(exchanged, rel=EXCHANGE)
    grown = growth(small, large)
    assert 1 / MEMORY < found["memory_bytes"] / grown < MEMORY, grown
    # Control: half the atoms are told apart.
    half = json.loads(estimated(capsys, path, "--atoms", str(atoms // 2), *density))
    assert half["exchange_bytes"] != pytest.approx(exchanged, rel=EXCHANGE)
    assert half["pairs"] != pytest.approx(pairs, rel=PAIRS)


def test_memory_of_exact_radial_networks(seen, tmp_path, capsys):
    atoms = ["--atoms", "6400", "--density", str(6400 / LENGTH**3), "--ranks", str(RANKS), "--json"]
    path = write_model(tmp_path / "x.model", make_model(**RADIAL, exact_radial=True))
    found = json.loads(estimated(capsys, path, *atoms))
    (_, small), (_, large) = seen(64), seen(6400)
    grown = growth(small, large)
    assert 1 / MEMORY < found["memory_bytes"] / grown < MEMORY, grown
    # Control: splines, of which nothing is kept, are told apart.
    path = write_model(tmp_path / "splines.model", make_model(**RADIAL))
    splines = json.loads(estimated(capsys, path, *atoms))
    assert splines["radial_bytes"] == 0
    assert splines["memory_bytes"] < grown / MEMORY


@pytest.mark.parametrize(("dtype", "most"), [("float32", 4e5), ("float64", 2e5)])
def test_radial_functions_are_kept_up_to_a_gibibyte(dtype, most, tmp_path, capsys):
    """Values and slopes of 128 functions, for 1.3 times the pairs, once for each two."""
    model = make_model(dtype, **RADIAL, exact_radial=True)
    path = write_model(tmp_path / "x.model", model)
    for pairs, layers in (most, 2), (3 * most, 0):
        out = estimated(capsys, path, "--atoms", "1", "--pairs-per-atom", str(pairs), "--json")
        each = 2 * 128 * np.dtype(dtype).itemsize + 4
        assert json.loads(out)["radial_bytes"] == pytest.approx(layers * pairs / 2 * each, rel=1e-5)


def test_table(tmp_path, capsys):
    path = write_model(tmp_path / "x.model", make_model())
    out = estimated(capsys, path, "--atoms", "8000", "--ranks", "8")
    assert "8,000 atoms, 0.0373 per Å^3, 10 pairs per atom" in out
    assert "8, as 2 x 2 x 2" in out
    assert "10,000, both directions" in out
    one = estimated(capsys, path, "--atoms", "8000", "--pairs-per-atom", "20")
    assert "160,000, both directions" in one
    assert "0 B per step" in one


def test_kernels_make_no_arrays_of_pairs(tmp_path, capsys):
    """Neither do those of a gate or of an energy of pairs, which are no part of the kernels."""
    model = make_torch_model(config_of(NON_LINEAR, NON_LINEAR, pair_repulsion=True))
    path = tmp_path / "x.model"
    save_model(path, model.config, model.dataset_info, model.params, dtype=model.dtype)
    found = json.loads(estimated(capsys, path, "--atoms", "8000", "--json"))
    assert found["chunk_bytes"] == 0
    # Control: the network itself, as it is defined, does.
    [*_, last] = lower(model, plain=True).layers
    assert not last.in_registers


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
