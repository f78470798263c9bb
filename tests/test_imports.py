"""The order of the packages: what `make lint` checks, and that it would see an import upwards."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("importlinter", reason="the linters are not installed: make lint does it")


@pytest.fixture
def lint(tmp_path):
    """Return a function: module and a line added to it -> status and words of the check."""

    def run(module="", line=""):
        folder = tmp_path / "copy"
        shutil.copytree(
            ROOT / "lammps_mace", folder / "lammps_mace", ignore=shutil.ignore_patterns("*.so")
        )
        shutil.copy(ROOT / "pyproject.toml", folder)
        if module:
            path = folder / "lammps_mace" / module
            with path.open("a") as file:
                file.write(f"\n{line}\n")
        command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        return done.returncode, done.stdout

    return run


def test_imports_go_down_and_in_no_circle(lint):
    status, words = lint()
    assert status == 0, words
    assert "Contracts: 2 kept, 0 broken." in words


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("engine/chunk.py", "import lammps_mace.models.mlip.config", "imports go down"),
        ("engine/engine.py", "def f():\n    import lammps_mace.lowering.lower", "imports go down"),
        ("kernels/order.py", "import lammps_mace.engine.engine", "imports go down"),
        ("stub.py", "import lammps_mace.coupling.mliap.model", "imports go down"),
        ("engine/capacity.py", "import lammps_mace.engine.atom_layout", "no circle of modules"),
        ("unplaced.py", "import lammps_mace.cli.main", "imports go down"),
    ],
)
def test_an_import_upwards_is_found(lint, module, line, broken):
    status, words = lint(module, line)
    assert status == 1, words
    assert f"{broken} BROKEN" in words
