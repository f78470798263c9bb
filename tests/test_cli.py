"""The command line: what a new user meets; each command by itself is tested where it belongs."""

import argparse
import importlib
import lzma
import os
import pty
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from programs import SCRIPTS
from small import make_model, write_model

from lammps_mace.cli import progress as module
from lammps_mace.cli.main import COMMANDS, main, module_of
from lammps_mace.cli.progress import progress

SMALL_TORCH = Path(__file__).with_name("data") / "torch_0_3_3_small.model.xz"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("chekc", "no command 'chekc': did you mean 'check'?"),
        ("covert", "no command 'covert': did you mean 'convert'?"),
        ("weather", f"no command 'weather': there are {', '.join(COMMANDS)}"),
    ],
)
def test_a_mistyped_command(given, words, capsys):
    assert main([given, "x.model"]) == 2
    assert capsys.readouterr().err == f"lammps-mace: {words}\n"


def test_nothing_given(capsys):
    assert main([]) == 2
    shown = capsys.readouterr().err
    assert all(name in shown for name in COMMANDS)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "run"])
def test_help_explains_every_argument(command):
    parser = argparse.ArgumentParser()
    module_of(command).add_arguments(parser)
    assert [action.dest for action in parser._actions if not action.help] == []


@pytest.mark.parametrize("command", ["bench", "convert"])
def test_a_command_without_ase_names_the_extra(command, tmp_path, monkeypatch, capsys):
    write_model(tmp_path / "x.model", make_model())
    (tmp_path / "small.model").write_bytes(lzma.decompress(SMALL_TORCH.read_bytes()))
    given = {"bench": ["x.model"], "convert": ["small.model", "-o", "y.model"]}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ase", None)
    monkeypatch.delitem(sys.modules, "lammps_mace.convert.self_check", raising=False)
    assert main([command, *given[command]]) == 2
    words = f"lammps-mace {command} needs ASE: pip install 'lammps-mace[tools]'\n"
    assert words in capsys.readouterr().err
    assert not (tmp_path / "y.model").exists()


def test_a_missing_module_of_another_name_is_no_matter_of_extras(monkeypatch):
    monkeypatch.setattr("lammps_mace.cli.info.run", lambda options: importlib.import_module("no"))
    with pytest.raises(ModuleNotFoundError, match="No module named 'no'"):
        main(["info", "x.model"])


def test_info_gives_the_lines_for_an_input(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "x y.model", make_model())
    assert main(["info", "x y.model"]) == 0
    out = capsys.readouterr().out
    assert 'pair_style mliap unified "x y.model"\n' in out
    assert "pair_coeff * * O Si   #" in out
    assert out.index("elements") < out.index("cutoff") < out.index("pair_coeff")
    assert out.index("pair_coeff") < out.index("parameters")


def test_a_reader_that_leaves(tmp_path):
    """`lammps-mace info x.model | head -1`."""
    path = write_model(tmp_path / "x.model", make_model())
    line = f"{SCRIPTS / 'lammps-mace'} info {path} | head -1"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("model ")
    assert "pipe" not in done.stderr


def test_progress_is_silent_when_short(capsys):
    with progress("nothing much"):
        pass
    assert capsys.readouterr() == ("", "")


def test_progress_is_a_plain_line_when_long(capsys, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    with progress("counting sheep"):
        time.sleep(0.5)
    assert capsys.readouterr() == ("", "lammps-mace: counting sheep ...\n")


def test_progress_on_a_terminal(monkeypatch):
    """Something moves while it goes on, and nothing of it stays."""
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        with progress("counting sheep"):
            time.sleep(0.5)
    shown = ""
    with suppress(OSError):  # Linux's way to say that a terminal has ended
        while part := os.read(reader, 4096).decode():
            shown += part
    os.close(reader)
    assert "counting sheep 0:00:00" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert shown.rstrip("\r").endswith("\x1b[2K")  # the line is empty again
