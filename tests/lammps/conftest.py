"""Fixtures that run the real ``lmp`` under the real ``mpirun`` of this environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import quick_xla
from programs import LMP, MPIRUN

HERE = Path(__file__).parent

# 500 atoms of a Lennard-Jones solid, shaken so that no force is zero.
ARGON = """
units metal
boundary p p p
lattice fcc 5.4
region box block 0 5 0 5 0 5
create_box 1 box
create_atoms 1 box
mass 1 39.95
displace_atoms all random 0.15 0.15 0.15 4711
"""

# Python's start-up file that changes the potential once it has its engine; for controls.
PATCH = """
import lammps_mace.coupling.plugin_potential as module

original = module.PluginPotential.set_elements

def patched(self, names):
    species = original(self, names)
    import lammps_mace.lowering.build
{code}
    return species

module.PluginPotential.set_elements = patched
"""


@dataclass(frozen=True)
class LammpsRun:
    """What one run of LAMMPS left behind."""

    returncode: int
    out: str  # stdout and stderr
    log: str  # log.lammps, "" where none was written
    folder: Path

    def thermo(self) -> list[dict[str, float]]:
        """Return the rows of every thermo table in the log."""
        rows = []
        for table in re.findall(r"^ *(Step .*?)^Loop time", self.log, re.MULTILINE | re.DOTALL):
            lines = [line for line in table.splitlines() if not line.startswith("WARNING")]
            names = lines[0].split()
            rows += [dict(zip(names, map(float, line.split()), strict=True)) for line in lines[1:]]
        return rows

    def dump(self, name: str = "dump.txt") -> list[dict[str, float]]:
        """Return the atoms of the last snapshot of a text dump, sorted by ID."""
        head, _, table = (self.folder / name).read_text().rpartition("ITEM: ATOMS ")
        assert head
        names, *lines = table.splitlines()
        atoms = [dict(zip(names.split(), map(float, line.split()), strict=True)) for line in lines]
        return sorted(atoms, key=lambda atom: atom["id"])


def run_command(
    command: list[str], folder: Path, env: dict[str, str] | None = None, timeout: float = 120
) -> tuple[int, str]:
    """Return status and output; a timeout kills the whole process group and fails the test."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", **(env or {})}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        pytest.fail(f"{' '.join(command)} took longer than {timeout} s:\n{out[-5000:]}")
    return process.returncode, out


@pytest.fixture
def run_lammps(tmp_path: Path):
    """Return a function that runs an input script on so many ranks.

    They compile with little effort; where XLA_FLAGS is given, with that: "" is what users have.
    As users compile: parts of test_parity_lammps.py, test_check.py, test_readme.py, the ionic
    example.
    """

    def run(
        script: str,
        ranks: int = 1,
        env: dict[str, str] | None = None,
        timeout: float = 120,
        arguments: tuple[str, ...] = (),
        program: Path = LMP,
        launcher: tuple[str, ...] = (str(MPIRUN),),
    ) -> LammpsRun:
        (tmp_path / "in.test").write_text(script)
        (tmp_path / "log.lammps").unlink(missing_ok=True)
        command = [str(program), "-in", "in.test", *arguments]
        if ranks > 1:
            command = [*launcher, "-np", str(ranks), *command]
        variables = {"XLA_FLAGS": quick_xla.FLAGS, **(env or {})}
        returncode, out = run_command(command, tmp_path, variables, timeout)
        log = tmp_path / "log.lammps"
        return LammpsRun(
            returncode, out, log.read_text(errors="replace") if log.is_file() else "", tmp_path
        )

    return run


@pytest.fixture(scope="session")
def _started():
    return {}


@pytest.fixture
def prepare(run_lammps, tmp_path, _started):
    """Return a function that makes atoms on one rank, for a script that keeps their IDs.

    The same script always makes the same atoms: LAMMPS is asked once.
    """

    def make(script):
        data = tmp_path / "start.data"
        if script not in _started:
            made = run_lammps(script + "write_data start.data\n")
            assert made.returncode == 0, made.out
            _started[script] = data.read_text()
        data.write_text(_started[script])
        return script[: script.index("lattice")] + "read_data start.data\n"

    return make


@pytest.fixture
def argon() -> str:
    """Return the start of an input script: a shaken Lennard-Jones crystal of 500 atoms."""
    return ARGON


@pytest.fixture
def silicon(tmp_path: Path) -> Path:
    """Put the model of the example into the working folder of run_lammps; return its path."""
    for file in (HERE.parents[1] / "examples" / "silicon").glob("silicon.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / "silicon.model"


@pytest.fixture
def classical(tmp_path: Path):
    """Return a function that writes a classical potential and returns the environment to use it.

    The bridge then calls classical/potential.py (Lennard-Jones in NumPy) instead of MACE: a known
    truth behind the real plugin, the real bridge and the real LAMMPS.
    """

    def write(name: str = "lj.model", **parameters) -> dict[str, str]:
        (tmp_path / name).write_text(json.dumps(parameters))
        paths = [str(HERE / "classical"), os.environ.get("PYTHONPATH", "")]
        return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}

    return write


@pytest.fixture
def patch(tmp_path_factory):
    """Return a function that gives the environment in which ``code`` changes the engine."""

    def write(code):
        folder = tmp_path_factory.mktemp("patch")
        indented = "\n".join("    " + line for line in code.splitlines())
        (folder / "sitecustomize.py").write_text(PATCH.format(code=indented))
        paths = [str(folder), os.environ.get("PYTHONPATH", "")]
        return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}

    return write


@pytest.fixture(scope="session")
def broken_mpi(tmp_path_factory):
    """Return a function: what to break -> the environment that does it.

    Ranks then send rows in messages, except where the memory that they share is to be broken.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler for the broken MPI")
    library = tmp_path_factory.mktemp("broken") / "broken_mpi.so"
    include = Path(sys.prefix, "include")
    command = [compiler, "-shared", "-fPIC", f"-I{include}", HERE / "broken_mpi.c", "-o", library]
    subprocess.run([*map(str, command), "-ldl"], check=True)

    def breaking(what):
        shared = "1" if what.startswith("room") else "0"
        variables = {"LD_PRELOAD": str(library), "BROKEN_MPI": what}
        return {**variables, "LAMMPS_MACE_SHARED_MEMORY": shared}

    return breaking
