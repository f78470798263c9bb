"""Letters outside ASCII in what a user writes, in UTF-8 and in other locales."""

import shutil
from pathlib import Path

import pytest

SILICON = Path(__file__).parents[2] / "examples" / "silicon"
ATOMS = """
units metal
lattice diamond 5.431
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 28.0855
"""
COEFF = "pair_coeff * * Si\n"
LOCALES = ["C", "C.UTF-8"]


def style(path):
    return f"pair_style mliap unified {path} 0\n"


@pytest.fixture
def silicon(tmp_path):
    """Return the path of a model, in the working folder of run_lammps."""
    for file in SILICON.glob("silicon.*"):
        (tmp_path / "mödèl").mkdir(exist_ok=True)
        shutil.copy(file, tmp_path / "mödèl")
    return "mödèl/silicon.model"


@pytest.mark.parametrize(("locale", "ranks"), [("C", 1), ("C.UTF-8", 1), ("C", 2)])
def test_a_path_in_an_input_script(run_lammps, silicon, locale, ranks):
    run = run_lammps(ATOMS + style(silicon) + COEFF + "run 0\n", ranks, {"LC_ALL": locale})
    assert run.returncode == 0, run.out


def test_a_path_in_a_variable(run_lammps, silicon):
    script = ATOMS + style("${model}") + COEFF + "run 0\n"
    run = run_lammps(script, env={"LC_ALL": "C"}, arguments=("-var", "model", silicon))
    assert run.returncode == 0, run.out


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("locale", LOCALES)
def test_a_lost_path_is_told(run_lammps, locale, ranks):
    run = run_lammps(ATOMS + style("nö/silicon.model"), ranks, {"LC_ALL": locale})
    [line] = [line for line in run.log.splitlines() if line.startswith("ERROR")]
    assert "LAMMPS lost letters outside ASCII of the path 'n?/silicon.model'" in line
    assert "-var model PATH" in line


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (style("lj.model") + "pair_coeff * * Ärgon\n", "ERROR: ValueError: element"),
        (style("lj.model ö"), "ERROR: pair_style mliap unified: ghostneigh must be 0, got"),
        (style("lj.model 0 ö"), "ERROR: pair_style mliap unified: unknown option"),
        ("pair_style mliap ünified lj.model 0\n", "ERROR: "),
    ],
)
@pytest.mark.parametrize("locale", LOCALES)
def test_other_words(run_lammps, classical, script, words, locale):
    env = {**classical(cutoff=5.0), "LC_ALL": locale}
    run = run_lammps(ATOMS + script, env=env)
    assert run.returncode == 1
    assert words in run.log
    assert "Unicode" not in run.out
