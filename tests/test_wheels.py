"""What a wheel for other machines may ask of them. `make wheels` builds one and tries it."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from lammps_mace import _bridge, _pairs
from lammps_mace.coupling import entry_point

ROOT = Path(__file__).parents[1]
WHEELS = ROOT / "cmake" / "wheels"
SYSTEM = {"libc.so.6", "libm.so.6", "libdl.so.2", "libgcc_s.so.1", "libstdc++.so.6"}
# The newest versions that manylinux_2_28 has.
NEWEST = {"GLIBC": (2, 28), "GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11)}
PROGRAM = r"""
#include <dlfcn.h>
#include <cstdio>
#include <exception>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <vector>
static int alive;
struct Error : std::runtime_error {
  Error() : std::runtime_error("reason") { alive++; }
  Error(const Error &other) : std::runtime_error(other) { alive++; }
  ~Error() { alive--; }
};
int main(int count, char **)
{
  std::exception_ptr kept;
  try { throw Error(); } catch (...) { kept = std::current_exception(); }
  { std::vector<std::exception_ptr> copies(count + 4, kept); }
  try { std::rethrow_exception(kept); }
  catch (const Error &error) { std::printf("%s %d,", error.what(), alive); }
  kept = nullptr;
  std::stringstream stream;
  stream << alive;
  int number = 1;
  stream >> number;
  std::printf("%d,", number);
  try { new int[-count]; } catch (const std::bad_array_new_length &) { std::puts("length"); }
  const auto shared = std::make_shared<int>(count), other = shared;
  if (shared.use_count() != 2) return 2;
  std::vector<std::exception_ptr> grows;    // its allocator calls what throws that
  for (int i = 0; i < count; i++) grows.push_back(kept);
  return dlsym(nullptr, "no such function") != nullptr || !dlerror();
}
"""


def needed(path):
    out = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"NEEDED.*\[(.*)\]", out))


def too_new(path):
    """Return the symbols that manylinux_2_28 lacks."""
    out = subprocess.run(["objdump", "-T", path], capture_output=True, text=True, check=True).stdout
    asked = re.findall(r"\*UND\*.*\((GLIBC|GLIBCXX|CXXABI)_([\d.]+)\) (\S+)", out)
    return {
        name for kind, version, name in asked
        if tuple(map(int, version.split("."))) > NEWEST[kind]
    }  # fmt: skip


def test_nothing_links_lammps_or_mpi():
    files = [*Path(entry_point.plugin_folder()).glob("*.so"), _bridge.__file__, _pairs.__file__]
    assert len(files) == 5
    for file in files:
        assert {name for name in needed(file) if not name.startswith("ld-linux")} <= SYSTEM


def test_what_is_too_new_for_a_wheel_is_replaced():
    replacements = "".join(file.read_text() for file in WHEELS.glob("*_8.cpp"))
    replacements += (WHEELS / "glibc_2_28.h").read_text()
    names = {
        name for file in Path(entry_point.plugin_folder()).glob("*.so") for name in too_new(file)
    }
    assert {name for name in names if name not in replacements} == set()


def test_wheels_are_made_for_every_python_that_is_named():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = re.findall(r"Python :: 3\.(\d+)", " ".join(project["project"]["classifiers"]))
    built = project["tool"]["cibuildwheel"]["build"].split()
    assert built == [f"cp3{minor}-manylinux_*" for minor in named]


@pytest.mark.parametrize("part", ["quick", "sanitize"])
def test_the_parts_name_what_exists(part):
    """Of `make test-pythons` and `make sanitize`: a line is a file, a folder, a test in a file."""
    for line in (ROOT / "tests" / f"{part}.txt").read_text().split():
        path, _, name = line.partition("::")
        assert (ROOT / path).exists(), line
        assert not name or f"def {name}(" in (ROOT / path).read_text(), line


@pytest.mark.parametrize("optimization", ["-O0", "-O2"])
def test_replaced_functions_do_the_same(tmp_path, optimization):
    """The control: what the compiler does by itself is too new, here."""
    (tmp_path / "program.cpp").write_text(PROGRAM)
    plain = ["c++", "-std=c++17", optimization, "program.cpp"]
    replaced = [
        *plain, str(WHEELS / "libstdcxx_8.cpp"), "-include", str(WHEELS / "glibc_2_28.h"),
        "-Wl,--no-as-needed,-l:libdl.so.2",
    ]  # fmt: skip
    said = []
    for command, name in ((plain, "plain"), (replaced, "replaced")):
        subprocess.run([*command, "-o", name], cwd=tmp_path, check=True)
        said.append(subprocess.run([tmp_path / name], capture_output=True, text=True, check=True))
    assert said[0].stdout == said[1].stdout == "reason 1,0,length\n"
    plain, replaced = (
        too_new(tmp_path / name) - {"__libc_start_main"} for name in ("plain", "replaced")
    )
    if not plain:
        pytest.skip("this compiler is one of manylinux_2_28: it has nothing to replace")
    assert replaced == set()
