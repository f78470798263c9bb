"""The documentation: every block of it runs, every option and variable it names exists."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from programs import SCRIPTS

from lammps_mace.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(ROOT)): page.read_text() for page in sorted(DOCS.rglob("*.md"))}
FENCE = re.compile(r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```', re.M | re.S)
BLOCKS = {name: FENCE.findall(text) for name, text in PAGES.items()}
# bash: job scripts of other machines, whose syntax is checked. text: forms and output.
KINDS = {"lammps", "sh", "python", "bash", "text"}
RUN = {"sh", "python"}


@pytest.fixture
def folder(tmp_path):
    for example, name in (("silicon", "silicon"), ("ionic", "nacl")):
        for suffix in (".model", ".json", ".safetensors"):
            shutil.copy(ROOT / "examples" / example / (name + suffix), tmp_path)
    return tmp_path


def run(command, folder):
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env={
            "PATH": f"{SCRIPTS}:/usr/bin:/bin", "HOME": str(folder), "JAX_PLATFORMS": "cpu",
            "LAMMPS_MACE_CACHE": os.environ["LAMMPS_MACE_CACHE"],
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("page", [name for name, b in BLOCKS.items() if RUN & {k for k, *_ in b}])
def test_blocks_run(page, folder):
    """In the order of the page, in one folder with the models of the examples."""
    for kind, title, text in BLOCKS[page]:
        if title:
            (folder / title).write_text(text)
        if kind == "sh":
            run(["sh", "-e", "-c", text], folder)
        elif kind == "python":
            run([sys.executable, "-c", text], folder)


def test_a_block_that_fails_is_seen(folder):
    with pytest.raises(AssertionError, match="no-such-program"):
        run(["sh", "-e", "-c", "no-such-program\n"], folder)


def test_tutorial_ends_with_a_picture(folder):
    kinds = [kind for kind, *_ in BLOCKS["docs/tutorial.md"]]
    assert kinds.index("lammps") < kinds.index("python")
    assert "silicon.png" in PAGES["docs/tutorial.md"]


@pytest.mark.parametrize("page", PAGES)
def test_blocks_are_of_known_kinds(page):
    assert {kind for kind, *_ in BLOCKS[page]} <= KINDS
    assert PAGES[page].count("\n```") == 2 * len(BLOCKS[page]), "a fence that nothing reads"


def test_job_scripts_have_no_syntax_error():
    scripts = [text for blocks in BLOCKS.values() for kind, _, text in blocks if kind == "bash"]
    assert scripts
    for text in scripts:
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_inputs_without_a_name_are_parts_of_those_that_run():
    whole = [b[2] for page in BLOCKS for b in BLOCKS[page] if b[0] == "lammps" and b[1]]
    lines = {line for text in whole for line in text.splitlines()}
    parts = [b[2] for page in BLOCKS for b in BLOCKS[page] if b[0] == "lammps" and not b[1]]
    assert {line for text in parts for line in text.splitlines()} <= lines


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("run", "env")])
def test_page_of_commands_has_every_option(command):
    text = run([Path(SCRIPTS) / "lammps-mace", command, "--help"], ROOT)
    offered = {o for o in re.findall(r"--[a-z][-a-z]*", text) if o != "--help"}
    page = PAGES["docs/reference/commands.md"]
    section = page.partition(f"## lammps-mace {command}\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(--[a-z][-a-z]*)`", section)) == offered


def test_page_of_variables_has_every_variable():
    """Of ours: named in the sources as a whole string."""
    sources = [
        path
        for folder in ("lammps_mace", "cython", "tests")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in (".py", ".cpp", ".c", ".pyx", ".pxi", ".h")
    ]
    used = {
        name
        for path in sources
        for name in re.findall(r'"(LAMMPS_MACE_[A-Z_]+)"', path.read_text(encoding="utf-8"))
    }
    used -= {"LAMMPS_MACE_BRIDGE_ABI"}
    listed = set(re.findall(r"`(LAMMPS_MACE_[A-Z_]+)`", PAGES["docs/reference/environment.md"]))
    assert used == listed


def test_links_of_the_navigation_are_pages():
    named = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert {f"docs/{name}" for name in named} == set(PAGES)


WAY = re.findall(
    r"^\| [^|]+ \| `(\S+)` \| `(\w+)` \|$", (ROOT / "ARCHITECTURE.md").read_text(), re.M
)


def defines(file, name):
    """Whether a file defines a function of this name, in Python, Cython or C++."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return re.search(rf"^(?:.*\bc?p?def (?:\w+ )?|.*\w[\w:<>*& ]* (?:\w+::)?){name}\(", text, re.M)


@pytest.mark.parametrize(("file", "name"), WAY)
def test_walk_through_names_what_exists(file, name):
    assert defines(file, name)


def test_walk_through_is_read():
    assert len(WAY) >= 15
    assert not defines("lammps_mace/engine/engine.py", "no_such_function")
    assert not defines("lammps_mace/engine/engine.py", "lay_out")  # called there, defined elsewhere
