"""Where a minimisation ends: at the rounding of float32 a line of the log names float64."""

from pathlib import Path

import pytest

from lammps_mace import load_model, save_model

SILICON = Path(__file__).parents[2] / "examples" / "silicon" / "silicon.model"
SCRIPT = """
units metal
lattice diamond 5.431
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 28.0855
displace_atoms all random 0.02 0.02 0.02 4711
pair_style mliap unified silicon.model 0
pair_coeff * * Si
thermo_style custom step pe fmax
minimize 0 1e-5 1000 10000
"""
NAMED = "to minimise further use a float64 model (lammps-mace convert --dtype float64)"
STUCK = "Stopping criterion = linesearch alpha is zero"


@pytest.fixture
def saved(tmp_path):
    """Return a function that writes the silicon model in a precision."""

    def save(dtype):
        model = load_model(SILICON)
        path = tmp_path / "silicon.model"
        return save_model(path, model.config, model.dataset_info, model.params, dtype=dtype)

    return save


@pytest.mark.parametrize("ranks", [1, 2])
def test_float32_names_float64(run_lammps, saved, ranks):
    saved("float32")
    run = run_lammps(SCRIPT, ranks)
    assert run.returncode == 0, run.out
    assert STUCK in run.log
    assert run.log.count(NAMED) == 1


def test_float64_reaches_what_was_asked_for(run_lammps, saved):
    saved("float64")
    run = run_lammps(SCRIPT.replace("1e-5", "1e-8") + "thermo_modify format float %.12g\nrun 0\n")
    assert run.returncode == 0, run.out
    assert "Stopping criterion = force tolerance" in run.log
    assert NAMED not in run.log
    assert run.thermo()[-1]["Fmax"] < 1e-8


@pytest.mark.parametrize(
    "last", ["minimize 0 1e-5 2 10000\n", "minimize 1e-3 0 1000 10000\n", "run 0\n"]
)
def test_another_end_has_no_such_line(run_lammps, saved, last):
    saved("float32")
    run = run_lammps(SCRIPT[: SCRIPT.index("minimize")] + last)
    assert run.returncode == 0, run.out
    assert STUCK not in run.log
    assert NAMED not in run.log
