"""Every file that a text names exists, or the text makes it, or it is the reader's own."""

import argparse
import re
from pathlib import Path

import pytest

from lammps_mace.cli.main import COMMANDS, module_of

ROOT = Path(__file__).parents[1]
FOLDERS = ("docs", "examples", "cmake", "benchmarks")
SUFFIXES = "model|json|safetensors|zip|xyz|data|lmp|txt|npz|png|py|pyx|pxi|cpp|h|cmake|md|sh"
# Not what follows a star: a pattern names no file.
NAME = re.compile(rf"(?<![\w./$<-])(?<!`\*)[\w./-]*\w\.(?:{SUFFIXES})\b(?![\w(])|\bin\.\w+\b")
LINK = re.compile(r"\]\(([^)#:]+)\)")
# Forms for what the reader has, or will choose: X.model is any model file.
YOURS = {"in.file", "FILE.model", "script.py", "model.zip", "structure.xyz", "job.sh"}
YOURS |= {"mpi.h"}  # of the MPI that is theirs
YOURS |= {f"X.{suffix}" for suffix in ("model", "json", "safetensors")}
YOURS |= {"A.model", "B.model", "X.0.json", "X.0.safetensors", "X.1.json", "X.K.json"}
PUBLISHED = "mace-"  # names of files of mace-torch's models, which readers fetch begin so
# A text makes a file where one of these stands before its name.
LIST = r"writes(?:\s+`?[\w./]+`?(?:,| and))*"
CALLS = r"(?:save_model|write_model|write|savefig)\("
MAKES = rf"(?:-o|--out|--json|file|{LIST}|write_\w+|title=|lammps|custom \d+|{CALLS})"


def pages():
    """Return the text of every page by its path, and of every help by its command."""
    files = [*ROOT.glob("*.md"), *(p for name in FOLDERS for p in (ROOT / name).rglob("*.md"))]
    found = {str(path.relative_to(ROOT)): path.read_text() for path in sorted(files)}
    found.pop("CHANGELOG.md")  # of the past
    for command in COMMANDS:
        parser = argparse.ArgumentParser()
        if command != "run":
            module_of(command).add_arguments(parser)
        found[f"lammps-mace {command} --help"] = parser.format_help()
    return found


PAGES = pages()
HERE = {
    path.name
    for folder in (*FOLDERS, "lammps_mace", "cython", "tests")
    for path in (ROOT / folder).rglob("*.*")
} | {path.name for path in ROOT.glob("*.*")}


def missing(text):
    """Return the names of files that are neither here nor made by the text before."""
    lost = []
    for found in NAME.finditer(text):
        name = Path(found[0]).name
        before = text[: found.end()]
        made = re.search(rf"{MAKES}\s*[\"'`]?[\w./]*\b{re.escape(name)}", before)
        if name not in HERE | YOURS and not made and not name.startswith(PUBLISHED):
            lost.append(found[0])
    return lost


@pytest.mark.parametrize("page", PAGES)
def test_files(page):
    assert missing(PAGES[page]) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.endswith(".md")])
def test_links(page):
    folder = (ROOT / page).parent
    assert [link for link in LINK.findall(PAGES[page]) if not (folder / link).exists()] == []


def test_what_is_found():
    """Control: what a text does not make, and what it makes after it was used."""
    assert missing("lammps-mace check silicon.model no_such.xyz -n 2") == ["no_such.xyz"]
    assert missing("lmp -in in.nothing") == ["in.nothing"]
    assert missing("use new.model; lammps-mace convert model.zip -o new.model") == ["new.model"]
    assert missing("lammps-mace convert model.zip -o new.model; use new.model") == []
    assert missing("any `*_compiled.model`") == []
    assert missing("see `lammps_mace/graph.py` and https://lammps.org") == []
