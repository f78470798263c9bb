"""Memory that is refused where C calls C++ or Python: a reason on every rank, no crash."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SILICON = HERE.parents[1] / "examples" / "silicon"
STYLE = f'pair_style mliap unified "{SILICON}/silicon.model" 0\npair_coeff * * Si\nrun 0\n'
ATOMS = """
units metal
lattice diamond 5.431
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 28.0855
"""


@pytest.fixture(scope="module")
def no_memory(tmp_path_factory):
    """Return a function: who gets no memory -> the environment that does it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler for the library that refuses memory")
    library = tmp_path_factory.mktemp("memory") / "no_memory.so"
    command = [compiler, "-O1", "-shared", "-fPIC", HERE / "no_memory.c", "-o", library, "-ldl"]
    subprocess.run([*map(str, command)], check=True)
    return lambda caller: {"LD_PRELOAD": str(library), "NO_MEMORY": caller}


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(
    ("caller", "words"),
    [("kernels", "RESOURCE_EXHAUSTED: no host memory"), ("bridge", "MemoryError: no memory for ")],
)
def test_refused_memory_is_the_reason(run_lammps, no_memory, caller, words, ranks):
    run = run_lammps(ATOMS + STYLE, ranks, no_memory(caller))
    assert run.returncode == 1, run.out
    [line] = [line for line in run.log.splitlines() if line.startswith("ERROR")]
    assert words in line


def test_nobody_is_refused(run_lammps, no_memory):
    """The control."""
    run = run_lammps(ATOMS + STYLE, 1, no_memory("nobody"))
    assert run.returncode == 0, run.out
