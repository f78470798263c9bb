"""read_restart, then run: the forces of the commands written again, or the reason why not."""

import hashlib
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from programs import LAMMPS, LMP, SCRIPTS

SILICON = Path(__file__).parents[2] / "examples" / "silicon"
ATOMS = """
units metal
lattice diamond 5.431
region box block 0 2 0 2 0 2
create_box 2 box
create_atoms 1 box
mass * 28.0855
displace_atoms all random 0.02 0.02 0.02 4711
velocity all create 600 4711
"""
PLAIN = ("pair_style mliap unified silicon.model 0 start_check yes", "pair_coeff * * Si Si")
HYBRID = (
    "pair_style hybrid mliap unified silicon.model 0 lj/cut 4.0",
    "pair_coeff * * mliap Si NULL\npair_coeff 1 2 lj/cut 0.01 1.5\npair_coeff 2 2 lj/cut 0.02 1.5",
)
RUN = """
fix 1 all nve
thermo_style custom step pe press
thermo_modify format float %.17g
dump 1 all custom 1 {dump} id x y z fx fy fz
dump_modify 1 sort id format float %.17g
run 3
"""
RECORD = b"mliap unified\0002\0"
READ = "read_restart silicon.restart\n"
CLEAR = "clear\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a function: a folder -> fill it with a restart file and the model beside it.

    Both were written in another folder, which is gone.
    """
    folder = tmp_path_factory.mktemp("made")
    for file in SILICON.glob("silicon.*"):
        shutil.copy(file, folder)
    (folder / "in.write").write_text(
        ATOMS + "\n".join(PLAIN) + "\nwrite_restart silicon.restart noinit\n"
    )
    subprocess.run([LMP, "-in", "in.write"], cwd=folder, check=True, capture_output=True)
    kept = folder.rename(folder.with_name("kept"))
    return lambda target: shutil.copytree(kept, target, dirs_exist_ok=True), folder


@pytest.fixture
def restart(made, tmp_path):
    """Return the path of a restart file in the working folder, with its model beside it."""
    fill, _ = made
    fill(tmp_path)
    return tmp_path / "silicon.restart"


@pytest.fixture
def model(restart):
    return restart.with_name("silicon.model")


def stopped(run, *words):
    assert run.returncode == 1
    [line] = [line for line in run.out.splitlines() if line.startswith("ERROR")]
    for word in words:
        assert word in line
    assert line in run.log


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("commands", [PLAIN, HYBRID], ids=["alone", "hybrid"])
def test_forces_are_those_of_the_commands(run_lammps, silicon, commands, ranks):
    """Pair hybrid keeps no pair_coeff; all others are kept."""
    style, coeff = commands
    some = "set type 1 type/fraction 2 0.2 4711\n" if commands is HYBRID else ""
    again = coeff + "\n" if commands is HYBRID else ""
    script = ATOMS + some + f"{style}\n{coeff}\nrun 2\nwrite_restart silicon.restart\n"
    script += CLEAR + READ + f"{style}\n{coeff}\n" + RUN.format(dump="told.txt")
    script += CLEAR + READ + again + RUN.format(dump="restored.txt")
    run = run_lammps(script, ranks)
    assert run.returncode == 0, run.out
    told, restored = ((run.folder / f"{name}.txt").read_text() for name in ("told", "restored"))
    assert told.count("ITEM: TIMESTEP") == 4
    assert restored == told
    rows = run.thermo()[-4:]
    assert rows[:2] == rows[2:]
    first = style.replace("hybrid ", "").replace(" lj/cut 4.0", "")
    assert f"As in the restart file: {first}" in run.log


def test_the_model_goes_where_the_restart_file_goes(run_lammps, restart):
    run = run_lammps(READ + "run 0\n")
    assert run.returncode == 0, run.out


def test_the_folder_where_it_was(run_lammps, made):
    fill, folder = made
    fill(folder)
    try:
        run = run_lammps(f"read_restart {folder}/silicon.restart\nrun 0\n")
    finally:
        shutil.rmtree(folder)
    assert run.returncode == 0, run.out


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_model_that_is_gone(run_lammps, restart, model, ranks):
    model.unlink()
    words = "was written with the model", "silicon.model'", "does not exist", "after read_restart"
    stopped(run_lammps(READ + "run 0\n", ranks), *words)


@pytest.mark.parametrize("ranks", [1, 2])
def test_another_model_of_that_name(run_lammps, restart, model, ranks):
    sidecar = model.with_suffix(".json").read_bytes()
    before, after = (hashlib.sha256(text).hexdigest() for text in (sidecar, sidecar + b" "))
    model.write_bytes(model.read_bytes().replace(before.encode(), after.encode()))
    stopped(run_lammps(READ + "run 0\n", ranks), before, after, "after read_restart")


@pytest.mark.parametrize("then", ["write_data x.data noinit\n", "write_restart 2.restart noinit\n"])
def test_a_model_that_nobody_needs(run_lammps, restart, model, then):
    """The control of the two above: what evaluates nothing reads no model."""
    model.unlink()
    run = run_lammps(READ + then)
    assert run.returncode == 0, run.out


def test_a_script_that_names_another_model(run_lammps, restart, model):
    model.rename(model.with_name("new.model"))
    style, coeff = PLAIN
    run = run_lammps(READ + style.replace("silicon", "new") + f"\n{coeff}\nrun 0\n")
    assert run.returncode == 0, run.out
    assert "As in the restart file" not in run.log


def test_a_restart_file_of_a_restored_style(run_lammps, restart):
    script = READ + "write_restart 2.restart noinit\nclear\nread_restart 2.restart\nrun 0\n"
    run = run_lammps(script)
    assert run.returncode == 0, run.out
    assert "pair_coeff * * Si Si" in run.log


def test_from_restart_file_to_data_file(run_lammps, restart, model):
    model.unlink()
    run = run_lammps("", arguments=("-restart2data", str(restart), "x.data"))
    assert run.returncode == 0, run.out
    assert "64 atoms" in (restart.parent / "x.data").read_text()


def test_elements_may_change(run_lammps, restart):
    run = run_lammps(READ + "pair_coeff * * Si Xx\nrun 0\n")
    stopped(run, "the model has no element 'Xx'")


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_damaged_record(run_lammps, restart, ranks):
    data = restart.read_bytes()
    assert data.count(RECORD) == 1
    restart.write_bytes(data.replace(RECORD, b"mliap unified\0009\0"))
    stopped(run_lammps(READ, ranks), "damaged, or of another version of lammps-mace")


def test_a_record_of_one_model_alone(run_lammps, restart):
    """As they were before committees: without how many words tell of models."""
    data = restart.read_bytes()
    at, size = data.index(RECORD), struct.Struct("i")
    [n_bytes] = size.unpack_from(data, at - size.size)
    words = data[at + len(RECORD) :]
    assert words.startswith(b"2\0")
    older = size.pack(n_bytes - 2) + RECORD.replace(b"2", b"1") + words[2:]
    restart.write_bytes(data[: at - size.size] + older)
    run = run_lammps(READ + "run 0\n")
    assert "As in the restart file: pair_style mliap unified silicon.model 0" in run.log, run.out
    assert run.returncode == 0


def test_lammps_without_the_plugin(run_lammps, restart):
    """It asks for a pair_style, as after its own mliap."""
    env = {"LAMMPS_PLUGIN_PATH": "", "LD_LIBRARY_PATH": str(SCRIPTS.parent / "lib")}
    program = LAMMPS / "lmp"
    run = run_lammps(READ + "run 0\n", env=env, program=program)
    assert "pair style mliap unified stores no restart info" in run.log
    stopped(run, "Must re-specify non-restarted pair style (mliap unified) after read_restart")
    other = "pair_style lj/cut 4.0\npair_coeff * * 0.01 2.0\nrun 0\n"
    assert run_lammps(READ + other, env=env, program=program).returncode == 0


def test_elements_of_another_model_are_forgotten(run_lammps, silicon):
    script = ATOMS + "\n".join((*PLAIN, PLAIN[0])) + "\nrun 0\n"
    run = run_lammps(script)
    assert "All pair coeffs are not set" in run.log
