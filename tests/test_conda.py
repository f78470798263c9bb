"""What is there for conda: it names what pyproject.toml does, and builds for any LAMMPS."""

import os
import runpy
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from programs import PATH

import lammps_mace

ROOT = Path(__file__).parent.parent
CLUSTER = ROOT / "examples" / "cluster"
RECIPE = (CLUSTER / "conda" / "recipe.yaml").read_text()
ENVIRONMENT = (CLUSTER / "environment.yml").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OTHER_NAMES = {"vesin": "python-vesin"}
# In environment.yml these are pip's, which lammps-mace itself asks for.
WHEELS = {"lammps", "mpich", "mpi4py", "vesin"}
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def bounds(texts):
    """Return {conda's name: bounds} of requirements as pip writes them."""
    found = {one.name: one.specifier for one in map(Requirement, texts)}
    return {OTHER_NAMES.get(name, name): one for name, one in found.items()}


def conda_bounds(lines):
    """Return {name: bounds} of lines as conda writes them: name, bounds, build."""
    words = [line.split() for line in lines]
    return {one[0]: SpecifierSet(one[1] if len(one) > 1 else "") for one in words}


RUN = bounds(PROJECT["project"]["dependencies"])
BUILD = bounds(PROJECT["build-system"]["requires"])
TOOLS = bounds(PROJECT["project"]["optional-dependencies"]["tools"])
LAMMPS = Version(str(RUN["lammps"]).removeprefix("=="))


def check_recipe(text):
    recipe = yaml.safe_load(text)
    year, month, day, update = LAMMPS.release[:4]
    requirements = recipe["requirements"]
    assert recipe["context"]["version"] == lammps_mace.__version__
    assert recipe["context"]["lammps_version"] == f"{year}.{month:02}.{day:02}"
    sources = {source.get("tag") for source in recipe["source"]}
    assert f"stable_{day}{MONTHS[month - 1]}{year}_update{update}" in sources
    run = [line for line in requirements["run"] if not line.startswith(("python ", "lammps "))]
    run.remove("python")
    assert conda_bounds(run) == {name: one for name, one in RUN.items() if name != "lammps"}
    assert "lammps ==${{ lammps_version }} *_mpi_mpich_*" in requirements["run"]
    host = [line for line in requirements["host"] if line not in {"python", "pip"}]
    assert conda_bounds(host) == {name: one for name, one in BUILD.items() if name != "lammps"}
    assert conda_bounds(requirements["run_constraints"]) == TOOLS
    lower, upper = PROJECT["project"]["requires-python"].split(",")
    skipped = f'match(python, "<{lower.strip(">=")}") or match(python, ">={upper.strip("<")}")'
    assert skipped in recipe["build"]["skip"]
    about = {name: recipe["about"][name] for name in ("license", "license_file")}
    assert about == {"license": PROJECT["project"]["license"], "license_file": "LICENSE"}


def check_environment(text):
    lines = yaml.safe_load(text)["dependencies"]
    [pip] = [line["pip"] for line in lines if isinstance(line, dict)]
    assert pip == ["--find-links ../../dist", "lammps-mace[tools]"]
    listed = conda_bounds(line for line in lines if isinstance(line, str))
    assert listed.pop("pip") == SpecifierSet()
    assert listed.pop("python") == SpecifierSet(PROJECT["project"]["requires-python"])
    wheels = {OTHER_NAMES.get(name, name) for name in WHEELS}
    assert listed == {name: one for name, one in (RUN | TOOLS).items() if name not in wheels}


def test_the_recipe_agrees_with_the_project():
    check_recipe(RECIPE)


def test_the_environment_agrees_with_the_project():
    check_environment(ENVIRONMENT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f'version: "{lammps_mace.__version__}"', 'version: "0.0.1"'),
        ("2025.07.22", "2025.07.23"),
        ("_update4", "_update3"),
        ("    - jax >=0.10,<0.11\n", "    - jax >=0.10\n"),
        ("    - jaxlib >=0.10,<0.11\n", ""),
        ("    - scipy >=1.14\n", ""),
        ("    - rich >=13\n", "    - rich >=13\n    - tqdm\n"),
        ("ase >=3.23", "ase >=3.22"),
        ('">=3.14"', '">=3.15"'),
        ("license: MIT", "license: GPL-2.0-only"),
    ],
)
def test_a_recipe_that_deviates_is_seen(old, new):
    assert old in RECIPE
    with pytest.raises(AssertionError):
        check_recipe(RECIPE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("flax >=0.12,<0.13", "flax >=0.12"),
        ("  - numpy >=2.0\n", ""),
        ("python >=3.11,<3.14", "python >=3.11"),
        ("  - rich >=13\n", "  - rich >=13\n  - mpi4py >=4.1\n"),
        ("[tools]", ""),
    ],
)
def test_an_environment_that_deviates_is_seen(old, new):
    assert old in ENVIRONMENT
    with pytest.raises(AssertionError):
        check_environment(ENVIRONMENT.replace(old, new))


def configure(folder, *options):
    """Return what CMake says, which compiles nothing here."""
    done = subprocess.run(
        ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", f"-DPython_EXECUTABLE={sys.executable}",
         *options], env={**os.environ, "PATH": PATH}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_the_build_takes_another_lammps_and_mpi(tmp_path):
    sources, mpi = tmp_path / "lammps" / "src", tmp_path / "mpi" / "include"
    sources.mkdir(parents=True)
    mpi.mkdir(parents=True)
    for file in (sources / "pair.h", mpi / "mpi.h"):
        file.touch()
    (sources / "version.h").write_text('#define LAMMPS_VERSION "4 Jul 2026"\n')
    options = (f"-DLAMMPS_MACE_LAMMPS={sources.parent}", f"-DLAMMPS_MACE_MPI={mpi.parent}")
    assert f"LAMMPS 20260704: {sources}; MPI: {mpi.parent};" in configure(tmp_path / "a", *options)
    year, month, day = LAMMPS.release[:3]
    said = configure(tmp_path / "b")
    assert f"LAMMPS {year}{month:02}{day:02}: " in said
    assert str(tmp_path / "mpi") not in said


def test_such_a_build_needs_no_package_but_jaxlib(monkeypatch, capsys):
    files = metadata.files
    monkeypatch.setattr(metadata, "files", lambda name: files(name) if name == "jaxlib" else None)
    script = str(ROOT / "cmake" / "find_headers.py")
    monkeypatch.setattr(sys, "argv", [script, "--xla"])
    runpy.run_path(script)
    assert Path(capsys.readouterr().out.strip(), "xla", "ffi", "api", "ffi.h").is_file()
    monkeypatch.setattr(sys, "argv", [script])
    with pytest.raises(SystemExit, match="package lammps has no file include/lammps/pair.h"):
        runpy.run_path(script)
