"""What is installed: the hook LAMMPS calls, the compiled files and the names in them."""

import ast
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import lammps_mace
from lammps_mace import _bridge, _pairs
from lammps_mace.coupling import entry_point

ROOT = Path(__file__).parent.parent


def symbols(path, *options):
    """Return the dynamic symbols of a shared object."""
    listing = subprocess.run(
        ["nm", "-D", *options, str(path)], capture_output=True, text=True, check=True
    )
    return {line.split()[-1].split("@")[0] for line in listing.stdout.splitlines()}


def test_hook_is_registered_and_finds_the_plugin(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    [entry] = metadata.entry_points(group="lammps.plugins", name="lammps_mace")
    folder = entry.load()()
    assert Path(folder, "lammpsmaceplugin.so").is_file()
    assert os.environ["LAMMPS_MACE_PYTHON"] == sys.executable
    assert Path(os.environ["LAMMPS_MACE_BRIDGE"]).samefile(_bridge.__file__)


def test_hook_imports_nothing_heavy():
    code = (
        "import sys, lammps_mace.coupling.entry_point as h; h.plugin_folder(); print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not loaded & {"lammps", "jax", "numpy", "torch", "ase", "mpi4py", "pydantic"}


def test_package_imports_nothing_heavy():
    code = "import sys, lammps_mace; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(run.stdout.split()) & {"lammps", "jax", "torch", "ase"}


@pytest.mark.parametrize(
    "spec", [None, importlib.machinery.ModuleSpec("x", None, origin="/no/x.so")]
)
def test_hook_warns_and_never_raises(monkeypatch, capsys, spec):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert entry_point.plugin_folder() == ""
    assert "lammps-mace: pair_style mliap unified is not available" in capsys.readouterr().err


def test_hook_survives_a_closed_stderr(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: 1 / 0)
    monkeypatch.setattr(sys, "stderr", None)
    assert entry_point.plugin_folder() == ""


def fake_python(monkeypatch, tmp_path, **variables):
    variables = {"LIBDIR": str(tmp_path), "MULTIARCH": "x86_64-linux-gnu", **variables}
    monkeypatch.setattr(entry_point.sysconfig, "get_config_var", variables.get)
    monkeypatch.setattr(sys, "base_exec_prefix", str(tmp_path / "base"))


def test_static_python_has_no_libpython(monkeypatch, tmp_path):
    fake_python(monkeypatch, tmp_path, LDLIBRARY="libpython3.11.a")
    (tmp_path / "libpython3.11.a").touch()
    assert entry_point.shared_libpython() is None


def test_a_shared_libpython_beside_the_static_one_is_found(monkeypatch, tmp_path):
    fake_python(monkeypatch, tmp_path, INSTSONAME="libpython3.x.a", LDLIBRARY="libpython3.x.a")
    shared = tmp_path / f"libpython{sys.version_info[0]}.{sys.version_info[1]}.so.1.0"
    shared.touch()
    assert entry_point.shared_libpython() == str(shared.resolve())


@pytest.mark.parametrize("folder", [".", "x86_64-linux-gnu", "base/lib"])
def test_libpython_is_found_where_distributions_put_it(monkeypatch, tmp_path, folder):
    fake_python(monkeypatch, tmp_path, INSTSONAME="libpython3.11.so.1.0", LDLIBRARY="x.so")
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / "libpython3.11.so.1.0").touch()
    assert (
        Path(entry_point.shared_libpython())
        == (tmp_path / folder / "libpython3.11.so.1.0").resolve()
    )


def test_plugin_knows_no_python():
    plugin = Path(entry_point.plugin_folder(), "lammpsmaceplugin.so")
    style = Path(entry_point.plugin_folder(), "liblammps_mace_style.so")
    known = symbols(plugin) | symbols(style)
    assert not [name for name in known if name.startswith(("Py", "_Py"))]
    assert "lammpsplugin_init" in symbols(plugin, "--defined-only")


def test_plugin_loads_without_lammps_and_mpi():
    plugin = Path(entry_point.plugin_folder(), "lammpsmaceplugin.so")
    needed = symbols(plugin, "--undefined-only")
    assert not [name for name in needed if "LAMMPS_NS" in name or name.startswith("MPI_")]
    load = "import ctypes, os, sys; ctypes.CDLL(sys.argv[1], mode=os.RTLD_NOW)"

    def loaded(library):  # by a process that has no LAMMPS
        return subprocess.run([sys.executable, "-c", load, library], capture_output=True, text=True)

    assert loaded(plugin).returncode == 0
    assert "undefined symbol" in loaded(plugin.with_name("liblammps_mace_style.so")).stderr


def test_bridge_exports_one_symbol():
    exported = symbols(_bridge.__file__, "--defined-only") - {"_init", "_fini"}
    assert exported == {"PyInit__bridge", "lammps_mace_bridge_open"}


def test_stub_names_what_the_bridge_has():
    stub = ast.parse((ROOT / "cython" / "_bridge.pyi").read_text())
    stubs = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
    assert set(stubs) == {"Step", "StepList"}
    for name, node in stubs.items():
        functions = [one for one in node.body if isinstance(one, ast.FunctionDef)]
        stubbed = {one.name for one in functions}
        compiled = getattr(_bridge, name)
        assert stubbed == {word for word in vars(compiled) if not word.startswith("_")}
        assert compiled.__module__ == "lammps_mace._bridge"
        assert compiled.__doc__
        documented = {one.name for one in functions if ast.get_docstring(one)}
        assert documented >= stubbed - {"n_local", "n_total"}


def test_stub_names_what_pairs_has():
    stub = ast.parse((ROOT / "cython" / "_pairs.pyi").read_text())
    stubbed = {node.name for node in stub.body if isinstance(node, ast.FunctionDef)}
    assert stubbed == {name for name in vars(_pairs) if not name.startswith("_")}


def test_steps_come_from_lammps_only():
    step = _bridge.Step()
    with pytest.raises(RuntimeError, match="this Step is over"):
        step.n_local  # noqa: B018


def test_version_is_written_once():
    assert metadata.version("lammps-mace") == lammps_mace.__version__


def test_plugin_is_built_for_the_lammps_it_runs_in():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pins = [
        [word for word in words if word.startswith("lammps==")]
        for words in (project["build-system"]["requires"], project["project"]["dependencies"])
    ]
    assert pins[0] == pins[1]
    assert pins[0] == [f"lammps=={metadata.version('lammps')}"]
    plugin = Path(entry_point.plugin_folder(), "lammpsmaceplugin.so").read_bytes()
    year, month, day = metadata.version("lammps").split(".")[:3]
    assert f"LAMMPS_MACE_BUILT_FOR={year}{month:0>2}{day:0>2}".encode() in plugin


def imported_packages():
    """Return what the package's modules import that is neither Python's nor its own."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "lammps_mace").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"lammps_mace"}


def test_what_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = project["dependencies"] + project["optional-dependencies"]["tools"]
    declared = {Requirement(text).name.replace("-", "_") for text in texts}
    declared |= {"jaxlib"}  # jax brings it
    assert imported_packages() - declared == {"cupy"}  # of LAMMPS with KOKKOS on GPUs, see cmake/


def test_libraries_that_change_have_bounds_that_were_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    words = project["project"]["dependencies"] + project["build-system"]["requires"]
    found = {one.name: one.specifier for one in map(Requirement, words)}
    for name in ("jax", "jaxlib", "flax", "e3nn-jax"):
        assert "<" in {one.operator for one in found[name]}
        assert found[name].contains(metadata.version(name))
    extras = project["project"]["optional-dependencies"]
    for name in ("cuda12", "cuda13"):
        assert [Requirement(text).specifier for text in extras[name]] == [found["jax"]]
    assert found["jaxlib"] == found["jax"]


def test_the_small_installation_has_the_same_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "examples" / "cluster" / "run.txt").read_text().splitlines()
    listed = {one.name: one for one in map(Requirement, (x for x in lines if x[0] != "#"))}
    for one in map(Requirement, project["dependencies"]):
        assert listed[one.name].specifier == one.specifier


def test_installing_leaves_the_source_tree_alone():
    """Scikit-build compiles in a temporary folder where no other is named."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["scikit-build"]
    assert "build-dir" not in settings


def test_cython_folder_is_no_package():
    """With an __init__.py it would shadow the compiler of that name."""
    assert not (ROOT / "cython" / "__init__.py").exists()
