"""Which thread calls MPI: LAMMPS starts it for one thread, XLA has others."""

import pytest
from small import make_model, write_model

SCRIPT = """units metal
lattice diamond 5.43
region box block 0 3 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 28
displace_atoms all random 0.2 0.2 0.2 17
pair_style mliap unified x.model 0
pair_coeff * * Si
run 2
"""
CONFIGS = {
    "kernels": {},
    "five layers": {"num_layers": 5},
    "radial network": {"radial_mlp_activation": "sigmoid"},  # which no splines can stand for
}
# The control: XLA is called in a thread of its own, so it calls MPI there.
ELSEWHERE = """
from concurrent.futures import ThreadPoolExecutor
from lammps_mace.engine.fused_step import FusedStep
run = FusedStep.run
FusedStep.run = lambda *args: ThreadPoolExecutor(1).submit(run, *args).result()
"""
OTHER = "MPI in another thread"


@pytest.fixture
def said(run_lammps, broken_mpi, patch, tmp_path):
    """Return a function: config, change of the engine -> what two ranks say in three steps."""

    def run(config, change="pass"):
        write_model(tmp_path / "x.model", make_model("float32", **config))
        # Compiled as users do: what XLA hands over depends on it.
        env = {**broken_mpi("nothing"), **patch(change), "XLA_FLAGS": ""}
        done = run_lammps(SCRIPT, 2, env)
        assert done.returncode == 0, done.out
        return done.out

    return run


@pytest.mark.parametrize("config", CONFIGS)
def test_mpi_is_called_by_the_thread_of_lammps(said, config):
    text = said(CONFIGS[config])
    assert OTHER not in text
    # One program exchanges itself; for the others they are made between programs.
    assert ("compilations (most of any rank): step 1" in text) == (config == "kernels")


def test_another_thread_is_seen(said):
    """The control; that XLA hands operations to its pool is chance, so it is not waited for."""
    assert OTHER in said(CONFIGS["kernels"], ELSEWHERE)
