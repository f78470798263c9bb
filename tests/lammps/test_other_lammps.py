"""The same model file in LAMMPS 4 Jul 2026: its own ML-IAP (route B), and the plugin built for it.

The truth is the stock LAMMPS with its plugin on one rank, another program of another version.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import other_lammps
import pytest
from programs import SCRIPTS
from results import OUTPUT, assert_same, results
from small import make_model, write_model

OPEN_MPI = "LAMMPS_MACE_TEST_OPEN_MPI"
KOKKOS = "LAMMPS_MACE_TEST_KOKKOS"
KOKKOS_OPTIONS = "LAMMPS_MACE_TEST_KOKKOS_OPTIONS"
EXACT = 1e-9  # relative, float64: the same sums in another order, in another program
CRYSTAL = """
units metal
boundary p p p
lattice diamond 5.43
region box block 0 3 0 2 0 2
create_box 2 box
create_atoms 2 box
set type 2 type/fraction 1 0.4 1234
mass 1 16
mass 2 28
displace_atoms all random 0.2 0.2 0.2 17
"""
# Atoms at one end only: of 4 ranks along x, at least two own nothing.
SLAB = (
    CRYSTAL.replace("boundary p p p", "boundary p p p\nprocessors * 1 1")
    .replace("block 0 3 0 2 0 2", "block 0 8 0 1 0 1")
    .replace("create_atoms 2 box", "region end block 0 2 0 1 0 1\ncreate_atoms 2 region end")
)
STYLE = "pair_style mliap unified x.model {ghosts}\npair_coeff * * O Si\n"
# Changes in every process that LAMMPS starts, for controls and faults.
PATCH = "from lammps_mace.coupling.mliap import checks, exchange, model\n{code}\n"


@pytest.fixture(scope="session")
def other():
    if reason := other_lammps.missing():
        pytest.skip(reason)
    return other_lammps.build()


@pytest.fixture
def patched(tmp_path_factory):
    """Return a function that gives the variables with which ``code`` runs in Python first."""

    def write(code):
        folder = tmp_path_factory.mktemp("patch")
        (folder / "sitecustomize.py").write_text(PATCH.format(code=code))
        return str(folder)

    return write


@pytest.fixture
def run_other(run_lammps, other):
    """Return a function that runs a script in the other LAMMPS, without our plugin."""

    def run(script, ranks=1, path="", env=None, **options):
        environment = {**other.environment, **(env or {})}
        paths = [path, environment["PYTHONPATH"]]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        return run_lammps(script, ranks, env=environment, program=other.program, **options)

    return run


@pytest.fixture
def start(prepare, tmp_path):
    """Return a function that writes x.model and a system, and returns the start of a script."""

    def make(system=CRYSTAL, **config):
        write_model(tmp_path / "x.model", make_model(**config))
        return prepare(system)

    return make


def script(start, ghosts=0, commands=""):
    return start + STYLE.format(ghosts=ghosts) + commands + OUTPUT + "run 0\n"


def wide(layers=2):
    return f"comm_modify cutoff {4 * layers + 2}\n"  # cutoff 4, skin 2


@pytest.mark.parametrize(("ranks", "layers"), [(1, 2), (2, 2), (4, 2), (2, 3)])
def test_ghost_neighbours(run_lammps, run_other, start, ranks, layers):
    begin = start(num_layers=layers)
    truth = results(run_lammps(script(begin)))
    got = run_other(script(begin, 1, wide(layers)), ranks)
    assert_same(results(got), truth, EXACT)


def test_ranks_without_atoms(run_lammps, run_other, start):
    begin = start(SLAB)
    truth = results(run_lammps(script(begin)))
    assert_same(results(run_other(script(begin, 1, wide()), 4)), truth, EXACT)


def test_one_rank_needs_no_ghost_neighbours(run_lammps, run_other, start):
    begin = start()
    truth = results(run_lammps(script(begin)))
    assert_same(results(run_other(script(begin))), truth, EXACT)


def test_one_layer_needs_no_ghost_neighbours(run_lammps, run_other, start):
    begin = start(num_layers=1)
    truth = results(run_lammps(script(begin)))
    assert_same(results(run_other(script(begin), 2)), truth, EXACT)


def test_a_short_communication_cutoff_gives_other_numbers(run_lammps, run_other, start, patched):
    begin = start()
    truth = results(run_lammps(script(begin)))
    path = patched("checks.RunChecks.check_reach = lambda self: None")
    got = results(run_other(script(begin, 1), 2, path=path))
    with pytest.raises(AssertionError):
        assert_same(got, truth, EXACT)


def test_units_real(run_lammps, run_other, start):
    begin = start().replace("units metal", "units real")
    truth = results(run_lammps(script(begin)))
    assert_same(results(run_other(script(begin, 1, wide()), 2)), truth, EXACT)


def test_atoms_that_the_model_does_not_see(run_lammps, run_other, start):
    begin = start()
    styles = (
        "pair_style hybrid/overlay mliap unified x.model {ghosts} lj/cut 4.0\n"
        "pair_coeff * * mliap O NULL\npair_coeff 1*2 2 lj/cut 0.01 2.0\n"
    )
    truth = begin + styles.format(ghosts=0) + OUTPUT + "run 0\n"
    script = begin + styles.format(ghosts=1) + wide() + OUTPUT + "run 0\n"
    assert_same(results(run_other(script, 2)), results(run_lammps(truth)), EXACT)


def test_moving_atoms(run_lammps, run_other, start):
    begin = start()
    motion = "velocity all create 600 1 loop geom\nfix 1 all nve\n"
    truth = results(run_lammps(script(begin, 0, motion).replace("run 0", "run 20")))
    got = run_other(script(begin, 1, wide() + motion).replace("run 0", "run 20"), 4)
    assert_same(results(got), truth, 1e-8)


@pytest.fixture(scope="session")
def plugin(other, tmp_path_factory):
    """Return the variables with which the other LAMMPS finds the plugin built for it."""
    return variables(other_lammps.build_plugin(other, tmp_path_factory.mktemp("plugin")))


def variables(plugin_folder):
    """Return what `lammps-mace env` sets, with another plugin."""
    lines = subprocess.run(
        [SCRIPTS / "lammps-mace", "env"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    pairs = (line.removeprefix("export ").partition("=") for line in lines)
    environment = {name: shlex.split(value)[0] for name, _, value in pairs}
    return {**environment, "LAMMPS_PLUGIN_PATH": str(plugin_folder)}


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_plugin_for_another_lammps(run_lammps, run_other, start, plugin, ranks):
    begin = start()
    truth = results(run_lammps(script(begin)))
    run = run_other(script(begin), ranks, env=plugin)
    assert "lammps-mace: compilations" in run.log  # the plugin says this, ML-IAP does not
    assert_same(results(run), truth, EXACT)


@pytest.fixture(scope="session")
def open_mpi(tmp_path_factory):
    """Return a LAMMPS with Open MPI, how to start it, and the variables for its plugin."""
    prefix, launcher = os.environ.get(OPEN_MPI), shutil.which("mpirun.openmpi")
    if not prefix or not launcher:
        pytest.skip(f"needs mpirun.openmpi, and {OPEN_MPI}: where a LAMMPS with it is installed")
    lammps = other_lammps.OtherLammps(Path(prefix))
    folder = other_lammps.build_plugin(lammps, tmp_path_factory.mktemp("o"), "mpicxx.openmpi")
    environment = {**variables(folder), "LD_LIBRARY_PATH": str(lammps.prefix / "lib")}
    return lammps.program, (launcher, "--oversubscribe", "--allow-run-as-root"), environment


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_plugin_with_open_mpi(run_lammps, start, open_mpi, ranks):
    program, launcher, env = open_mpi
    begin = start()
    truth = results(run_lammps(script(begin)))
    run = run_lammps(script(begin), ranks, env, 300, program=program, launcher=launcher)
    assert_same(results(run), truth, EXACT)


def test_doctor_looks_at_the_lammps_in_path(open_mpi, tmp_path):
    program, launcher, env = open_mpi
    (tmp_path / "mpirun").symlink_to(launcher[0])
    root = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")
    env = {**os.environ, **env, **dict.fromkeys(root, "1"), "JAX_PLATFORMS": "cpu"}
    env["OMPI_MCA_rmaps_base_oversubscribe"] = "1"
    env["PATH"] = os.pathsep.join([str(program.parent), str(tmp_path), env["PATH"]])
    rows = ("LAMMPS", "plugin", "launcher")
    command = [SCRIPTS / "lammps-mace", "doctor", *rows]
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    words = " ".join(said.stdout.split())
    assert said.returncode == 0, words
    assert "LAMMPS ok" in words
    assert f"plugin ok loads into {program} and starts Python there" in words
    assert "has LAMMPS 4 Jul 2026 with Open MPI too" in words
    assert f"launcher ok {tmp_path}/mpirun starts 2 ranks" in words


@pytest.fixture(scope="session")
def kokkos():
    """Return a LAMMPS with KOKKOS, its variables and its command line."""
    if not (prefix := os.environ.get(KOKKOS)):
        pytest.skip(f"needs {KOKKOS}, a LAMMPS with KOKKOS: see docs/how-to/cluster.md")
    lammps = other_lammps.OtherLammps(Path(prefix))
    given = os.environ.get(KOKKOS_OPTIONS, "-k on t 1 -pk kokkos newton on neigh half").split()
    return lammps.program, {"JAX_PLATFORMS": "", **lammps.environment}, (*given, "-sf", "kk")


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_kokkos(run_lammps, start, kokkos, ranks, layers):
    """Features are exchanged by LAMMPS; atoms move and change their ranks."""
    program, env, arguments = kokkos
    begin = start(num_layers=layers)
    text = script(begin, 0, "velocity all create 600 1 loop geom\nfix 1 all nve\n")
    text = text.replace("run 0", "run 20")
    truth = results(run_lammps(text))
    run = run_lammps(text, ranks, env, program=program, arguments=arguments)
    assert_same(results(run), truth, 1e-8)


@pytest.mark.parametrize("checked", [True, False])
def test_a_wrong_exchange_with_kokkos_is_found(run_lammps, start, kokkos, patched, checked):
    """By the start check; the control: without it the numbers are others."""
    program, env, arguments = kokkos
    # Ghosts keep what they have.
    path = patched("exchange.KokkosExchange.forward_copy = lambda self, rows: rows.copy()")
    spoilt = {**env, "PYTHONPATH": os.pathsep.join([path, env["PYTHONPATH"]])}
    if not checked:
        spoilt["LAMMPS_MACE_UNCHECKED"] = "1"
    text = script(start())
    run = run_lammps(text, 2, spoilt, program=program, arguments=arguments)
    if checked:
        assert "this LAMMPS or its MPI library moves rows wrongly" in run.out
        return
    with pytest.raises(AssertionError):
        assert_same(results(run), results(run_lammps(text)), EXACT)


def test_kokkos_ranks_without_atoms(run_lammps, start, kokkos):
    program, env, arguments = kokkos
    begin = start(SLAB)
    truth = results(run_lammps(script(begin)))
    run = run_lammps(script(begin), 4, env, program=program, arguments=arguments)
    assert_same(results(run), truth, EXACT)


def test_ghostneigh_chooses_between_plugin_and_ml_iap(run_lammps, run_other, start, plugin):
    begin = start()
    truth = results(run_lammps(script(begin)))
    run = run_other(script(begin, 1, wide()), 2, env=plugin)
    assert "lammps-mace: compilations" not in run.log
    assert_same(results(run), truth, EXACT)


MISTAKES = {
    "no ghosts": (0, "", "write `pair_style mliap unified FILE 1` and `comm_modify cutoff 10`"),
    "short cutoff": (1, "comm_modify cutoff 9.9\n", "write `comm_modify cutoff 10`"),
    "exclusions": (1, "comm_modify cutoff 10\ngroup a id 1\nneigh_modify exclude group a all\n",
        "neighbour exclusions (`neigh_modify exclude`, and fixes that hide atoms, such as gcmc)"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_end_all_ranks(run_other, start, name):
    ghosts, commands, words = MISTAKES[name]
    run = run_other(script(start(), ghosts, commands), 2)
    assert run.returncode != 0
    assert words in run.out
    assert words in run.log


FAULT = """
original = model.MLIAPModel.evaluate
count = [0]
def failing(self, data):
    count[0] += 1
    if count[0] == 3 and self.ranks.rank.index == {rank}:
        raise MemoryError("injected")
    original(self, data)
model.MLIAPModel.evaluate = failing
"""


def test_a_failing_rank_ends_all_ranks_with_its_reason(run_other, start, patched):
    text = script(start(), 1, wide() + "fix 1 all nve\n").replace("run 0", "run 5")
    for rank in (0, 1):
        run = run_other(text, 2, path=patched(FAULT.format(rank=rank)))
        assert run.returncode != 0
        for output in (run.out, run.log):
            assert f"WARNING: pair_style mliap unified: injected (rank {rank} of 2)" in output
    nobody = run_other(text, 2, path=patched(FAULT.format(rank=2)))  # the control
    assert nobody.returncode == 0
    assert "injected" not in nobody.out


def test_wrong_units_and_missing_weights(run_other, start, tmp_path):
    begin = start()
    run = run_other(script(begin.replace("units metal", "units lj"), 1), 2)
    assert run.returncode != 0
    assert "got `units lj`" in run.log
    (tmp_path / "x.safetensors").unlink()
    run = run_other(script(begin, 1), 2)
    assert run.returncode != 0
    assert "x.safetensors' are missing" in run.log


def test_an_atom_alone(run_other, start, tmp_path):
    begin = start("units metal\nlattice sc 20\nregion box block 0 1 0 1 0 1\ncreate_box 2 box\n"
                  "create_atoms 2 single 0 0 0\nmass * 1\n")  # fmt: skip
    atoms, thermo = results(run_other(script(begin, 1, wide())))
    assert np.all(atoms[:, :3] == 0)
    assert thermo["PotEng"] == pytest.approx(0.5 + 0.1)  # E0 and scaling_mean of small.py
