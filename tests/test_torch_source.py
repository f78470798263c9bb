"""`convert --verify` and `check --against` run the checkpoint in torch; nothing else imports it."""

import importlib.util
import lzma
import os
import subprocess
import sys
from pathlib import Path

import pytest
import quick_xla
import torch_files

from lammps_mace.cli.main import main

DATA = Path(__file__).parent / "data"
# As an environment that has both: torch's packages are found where ours lack them.
CODE = """
import sys
sys.path.append(sys.argv[1])
from lammps_mace.cli.main import main
sys.exit(main(sys.argv[2:]))
"""
# Torch evaluates the other head.
SPOIL = """
import lammps_mace.convert.torch.source_model as module
original = module.SourceModel._data
def other_head(self, atoms):
    return {**original(self, atoms), "head": self._torch.tensor([0])}
module.SourceModel._data = other_head
"""


def unpacked(name):
    return lzma.decompress((DATA / f"{name}.model.xz").read_bytes())


@pytest.fixture
def checkpoint(tmp_path):
    """Return the path of a checkpoint of mace-torch 0.3.10: ZBL, Agnesi, density, two heads."""
    path = tmp_path / "source.model"
    path.write_bytes(unpacked("torch_0_3_10_small-density"))
    return path


@pytest.fixture
def with_torch(tmp_path):
    """Return a function that runs lammps-mace in a process that finds torch too."""
    environment = torch_files.model_folder().parent
    [packages] = environment.glob("lib/python3*/site-packages")
    env = {**os.environ, "XLA_FLAGS": quick_xla.FLAGS}

    def run(*arguments, first=""):
        command = [sys.executable, "-W", "ignore", "-c", first + CODE, packages, *arguments]
        return subprocess.run(
            command, env=env, capture_output=True, text=True, cwd=tmp_path, check=False
        )

    return run


def test_verified_against_torch(with_torch, checkpoint, tmp_path):
    done = with_torch(
        "convert", checkpoint, "-o", "x.model", "--head", "b", "--dtype", "float64", "--verify"
    )
    assert done.returncode == 0, done.stderr
    assert f"note: torch unpickles '{checkpoint}'" in done.stdout
    assert "verified against torch" in done.stdout
    assert (tmp_path / "x.model").exists()
    atoms = "8\n" + 'Lattice="6 0 0 0 6 0 0 0 6" pbc="T T T"\n' + "".join(
        f"{'Si' if i % 3 else 'O'} {3 * (i & 1)} {1.5 * (i & 2)} {0.75 * (i & 4)}\n"
        for i in range(8)
    )  # fmt: skip
    (tmp_path / "a.xyz").write_text(atoms)
    done = with_torch("check", "x.model", "a.xyz", "--against", checkpoint)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "LAMMPS on 1 rank and torch agree" in done.stdout
    # A control.
    done = with_torch("check", "x.model", "a.xyz", "--against", checkpoint, first=SPOIL)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "LAMMPS on 1 rank and torch DISAGREE" in done.stdout


def test_without_torch_it_says_what_to_install(checkpoint, tmp_path, capsys):
    if importlib.util.find_spec("torch"):
        pytest.skip("torch is installed here")
    arguments = ["convert", str(checkpoint), "-o", str(tmp_path / "x.model"), "--head", "b"]
    assert main([*arguments, "--verify"]) == 2
    assert "pip install 'lammps-mace[torch]'" in capsys.readouterr().err
    assert not (tmp_path / "x.model").exists()


def test_a_file_that_torch_cannot_read(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from lammps_mace.convert.torch.source_model import SourceModel
    from lammps_mace.errors import ConvertError

    def fails(*_, **__):
        raise RuntimeError("no")

    torch = SimpleNamespace(set_default_dtype=lambda _: None, float64=None, load=fails)
    monkeypatch.setitem(sys.modules, "torch", torch)
    for name in ("mace", "mace.modules", "mace.modules.models"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(__path__=[]))
    with pytest.raises(ConvertError, match="torch cannot read 'x.pt': no"):
        SourceModel("x.pt", None)


def test_verify_is_for_models_of_mace_torch(tmp_path, capsys):
    path = DATA / "v1_plain.zip"
    assert main(["convert", str(path), "-o", str(tmp_path / "x.model"), "--verify"]) == 2
    assert "only models of mace-torch can be run by torch" in capsys.readouterr().err


def test_converting_imports_no_torch(checkpoint, tmp_path):
    folder = tmp_path / "poison"
    folder.mkdir()
    for package in ("torch", "e3nn", "mace"):
        (folder / f"{package}.py").write_text("raise SystemExit('imported')")
    command = [sys.executable, "-m", "lammps_mace.cli.main", "convert", checkpoint, "-o", "x.model"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [*command, "--head", "a"], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    control = subprocess.run(
        [sys.executable, "-c", "import torch"], env=environment, capture_output=True, text=True
    )
    assert "imported" in control.stderr
