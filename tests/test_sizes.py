"""No module of the product has more than 320 lines, no function of it more than 45."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULE_LINES, FUNCTION_LINES = 320, 45
SUFFIXES = (".py", ".pyx", ".pxi", ".pxd", ".c", ".cpp", ".h")


def long_functions(source):
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)]
    return [n.name for n in functions if n.end_lineno - n.lineno + 1 > FUNCTION_LINES]


def test_modules():
    folders = (ROOT / name for name in ("lammps_mace", "cython"))
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in SUFFIXES]
    lines = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert len(lines) > 200
    assert {path: n for path, n in lines.items() if n > MODULE_LINES} == {}


def test_functions():
    files = [p for name in ("lammps_mace", "tests") for p in (ROOT / name).rglob("*.py")]
    found = {str(path): long_functions(path.read_text(encoding="utf-8")) for path in files}
    assert {path: names for path, names in found.items() if names} == {}


def test_a_long_function_is_found():
    body = "    pass\n" * (FUNCTION_LINES - 1)
    assert long_functions(f"def fits():\n{body}") == []
    assert long_functions(f"def too_long():\n{body}    pass\n") == ["too_long"]
