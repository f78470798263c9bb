"""Every block of the README runs as it stands."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from programs import SCRIPTS

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


@pytest.fixture
def folder(tmp_path):
    for suffix in (".model", ".json", ".safetensors"):
        shutil.copy(ROOT / "examples/silicon" / f"silicon{suffix}", tmp_path)
    for kind, name, text in BLOCKS:
        if kind == "lammps" and name:
            (tmp_path / name).write_text(text)
    return tmp_path


def run(command, folder):
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env={"PATH": f"{SCRIPTS}:/usr/bin:/bin", "HOME": str(folder), "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_shell_blocks(folder):
    [block] = [text for kind, _, text in BLOCKS if kind == "sh"]
    out = run(["sh", "-e", "-c", block], folder)
    assert "Loop time" in out
    assert "cutoff" in out


def test_python_blocks(folder):
    [block] = [text for kind, _, text in BLOCKS if kind == "python"]
    run([sys.executable, "-c", block], folder)
    assert (folder / "dimer.safetensors").is_file()


def test_no_block_is_of_an_unknown_kind():
    assert {kind for kind, _, _ in BLOCKS} == {"lammps", "sh", "python", "text"}
