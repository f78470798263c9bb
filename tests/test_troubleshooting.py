"""The page of messages: each is one that the sources, or LAMMPS, can give."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
[PAGE] = (ROOT / "docs").rglob("troubleshooting.md")
FIRST_CELL = re.compile(r"^\| (`.+?`) \|", re.M)
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
MESSAGES = [
    words.strip()
    for cell in FIRST_CELL.findall(PAGE.read_text())
    for _, words in CODE.findall(cell)
]
# What LAMMPS and the system say.
OTHERS = {
    "ERROR: Using pair_style mliap unified requires ML-IAP with python support",
    "ERROR: Unrecognized pair style 'mliap'",
    "ERROR: Lost atoms",
    "Loaded 0 plugins from ...",
    "Open of file ... failed",
    "libmpi.so.12: cannot open shared object file",
}


def source_text():
    """Return all sources, strings in pieces joined."""
    files = [*(ROOT / "lammps_mace").rglob("*.py"), *(ROOT / "cython").rglob("*.*")]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in files))


SOURCES = source_text()


def said(message):
    """Whether a source has all parts of a message, one soon after the other."""
    parts = [re.escape(part.strip()) for part in message.split("...")]
    return re.search(r"[^\n]{0,60}?".join(parts), SOURCES) is not None


@pytest.mark.parametrize("message", MESSAGES)
def test_message_exists(message):
    assert message in OTHERS or said(message)


def test_the_page_has_many():
    assert len(MESSAGES) >= 25
    assert set(MESSAGES) >= OTHERS
    assert not said("a message that nothing gives")
