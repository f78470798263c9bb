"""Committees: deviations against NumPy on the forces of single runs, and what drives a run."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from charged import CASES, LONG_RANGE
from small import make_model, write_model

from lammps_mace import Calculator, load_model
from lammps_mace.modelfile import ModelFileError, load_models, write_committee

NAMES = ["a", "b", "c", "d"]
FILES = " ".join(f"{name}.model" for name in NAMES)
# An atom of the second type is another style's; the same box for all.
ATOMS = """
units metal
atom_style charge
lattice diamond 5.6
region box block 0 2 0 2 0 2
create_box 3 box
create_atoms 1 box
set group all type/fraction 2 0.3 4711
region corner block INF 0.3 INF 0.3 INF 0.3
set region corner type 3
mass * 28.0
displace_atoms all random 0.15 0.15 0.15 4711
"""
LJ = "pair_coeff * 3 lj/cut 0.01 2.0\n"
ALONE = "pair_style hybrid mliap unified {file} 0 lj/cut 3.0\npair_coeff * * mliap Si O NULL\n"
DUMP = "dump d all custom 1 {dump} id type fx fy fz c_e\ndump_modify d format float %.16g sort id\n"
THERMO = "thermo_style custom step pe vol pxx pyy pzz pxy pxz pyz\nthermo_modify format float %.16g"
BAR = 1 / 1.6021765e6  # eV/Å^3, as LAMMPS has it


def members(folder, dtype="float64", charges=False):
    """Write four models of other cutoffs, architectures and weights."""
    changes = [{}, {"num_channels": 8}, {"num_layers": 1}, {"correlation": 1}]
    cutoffs = [4.0, 4.0, 3.5, 3.8]
    for seed, (name, config, cutoff) in enumerate(zip(NAMES, changes, cutoffs, strict=True)):
        info = {"graph_cutoff_angstrom": cutoff}
        total = None
        if charges and seed != 1:  # one of them has none
            config, info, total = {**config, **CASES["coulomb"].config}, {**info, **LONG_RANGE}, 1
        model = make_model(dtype, seed, info, total, **config)
        write_model(folder / f"{name}.model", model)
    return folder


def lines_of(file):
    return np.loadtxt(file, ndmin=2)


def numpy_line(forces, energies, pressures, volume):
    """Return the numbers of a line after the step."""
    n = len(forces[0])
    force = np.sqrt(((forces - forces.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))
    virial = (pressures * BAR * volume).std(axis=0)[[0, 1, 2, 3, 3, 4, 4, 5, 5]] / n
    spread = [virial.max(), virial.min(), np.linalg.norm(virial) / 3]
    return np.array([*spread, force.max(), force.min(), force.mean(), energies.std() / n]), force


def single_runs(run_lammps, prepared, tail):
    """Return forces [model, atom, 3] and per-atom energies of the model's atoms, and thermo."""
    script = ""
    for name in NAMES:
        style = ALONE.format(file=f"{name}.model") + "pair_coeff * 3 lj/cut 0 2.0\n"
        dump = DUMP.format(dump=f"{name}.dump")
        script += f"clear\n{prepared}{style}compute e all pe/atom\n{dump}{THERMO}\nrun 0\n"
    run = run_lammps(script + tail)
    assert run.returncode == 0, run.out
    atoms = [run.dump(f"{name}.dump") for name in NAMES]
    kept = [[atom for atom in one if atom["type"] != 3] for one in atoms]
    forces = np.array([[[atom[f"f{c}"] for c in "xyz"] for atom in one] for one in kept])
    energies = np.array([[atom["c_e"] for atom in one] for one in kept])
    return forces, energies, run.thermo()


@pytest.mark.parametrize(
    ("dtype", "charges", "tolerance"),
    [("float64", False, 1e-12), ("float64", True, 1e-12), ("float32", False, 1e-6)],
)
def test_deviations_are_those_of_numpy(run_lammps, prepare, tmp_path, dtype, charges, tolerance):
    """In a hybrid with a NULL type; the last member's forces are none of the others'."""
    prepared = prepare(ATOMS)
    members(tmp_path, dtype, charges)
    forces, energies, thermo = single_runs(run_lammps, prepared, "")
    pressures = np.array([[row[k] for k in list(row)[3:]] for row in thermo])
    totals = np.array([row["PotEng"] for row in thermo])
    expected, force = numpy_line(forces, totals, pressures, thermo[0]["Volume"])
    energy = energies.std(axis=0)
    scale = np.abs(forces).max()
    for ranks in (1, 2, 4):
        style = f"pair_style hybrid mliap unified {FILES} 0 deviation devi.out every 1 lj/cut 3.0\n"
        run = run_lammps(
            prepared + style + "pair_coeff * * mliap Si O NULL\npair_coeff * 3 lj/cut 0 2.0\n"
            "fix d all pair 1 mliap force_deviation 1 energy_deviation 0\n"
            "dump d all custom 1 devi.dump id type f_d[1] f_d[2]\n"
            "dump_modify d format float %.16g sort id\nrun 0\n",
            ranks,
        )
        assert run.returncode == 0, run.out
        [line] = lines_of(tmp_path / "devi.out")
        assert line[0] == 0
        np.testing.assert_allclose(line[4:7], expected[3:6], rtol=0, atol=tolerance * scale)
        # Pressures are printed numbers of the whole hybrid.
        np.testing.assert_allclose(line[1:4], expected[:3], rtol=0, atol=10 * tolerance * scale)
        assert line[7] == pytest.approx(expected[6], abs=tolerance * np.abs(totals).max())
        atoms = run.dump("devi.dump")
        found = np.array([[a["f_d[1]"], a["f_d[2]"]] for a in atoms if a["type"] != 3])
        np.testing.assert_allclose(found[:, 0], force, rtol=0, atol=tolerance * scale)
        limit = tolerance * np.abs(energies).max()
        np.testing.assert_allclose(found[:, 1], energy, rtol=0, atol=limit)
        assert all(a["f_d[1]"] == a["f_d[2]"] == 0 for a in atoms if a["type"] == 3)
    three, _ = numpy_line(forces[:3], totals[:3], pressures[:3], thermo[0]["Volume"])
    assert np.abs(three - expected).max() > 1000 * tolerance * scale  # the control


@pytest.fixture
def ionic(tmp_path):
    """Put two models that differ a little into the folder; return the start of a script."""
    for seed, name in enumerate(NAMES[:2]):
        write_model(tmp_path / f"{name}.model", make_model(seed=seed))
    return ATOMS.replace("set region corner type 3", "") + "velocity all create 300 4711\n"


RUN = """pair_coeff * * Si O O
fix 1 all nve
timestep 0.0002
thermo 1
thermo_style custom step pe press
thermo_modify format float %.17g
dump 1 all custom 1 {dump} id x y z fx fy fz
dump_modify 1 sort id format float %.17g
run 4
"""


def test_what_drives(run_lammps, ionic, tmp_path):
    """The first alone, bit by bit; or the mean."""
    style = "pair_style mliap unified {}\n"
    parts = {
        "alone": "a.model 0",
        "first": "a.model b.model 0 committee drive first deviation f.out every 2",
        "mean": "a.model b.model 0 committee drive mean",
        "other": "b.model 0",
    }
    script = "clear\n".join(
        ionic + style.format(words) + RUN.format(dump=f"{name}.dump")
        for name, words in parts.items()
    )
    run = run_lammps(script)
    assert run.returncode == 0, run.out
    rows = np.array_split(np.array([list(row.values()) for row in run.thermo()]), len(parts))
    trajectories = [(tmp_path / f"{name}.dump").read_text() for name in parts]
    assert trajectories[0] == trajectories[1] != trajectories[2]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert np.abs(rows[0] - rows[2]).max() > 0.1
    # At step 0 the positions are the same.
    np.testing.assert_allclose(rows[2][0], (rows[0][0] + rows[3][0]) / 2, rtol=1e-12)
    assert list(lines_of(tmp_path / "f.out")[:, 0]) == [0, 2, 4]


def test_one_file_stop_and_restart(run_lammps, ionic, tmp_path):
    models = [load_model(tmp_path / f"{name}.model") for name in NAMES[:2]]
    write_committee(tmp_path / "all.model", models)
    (tmp_path / "a.model").unlink()
    style = "pair_style mliap unified all.model 0 deviation devi.out every 2 stop {}\n"
    body = RUN.format(dump="x.dump")
    run = run_lammps(ionic + style.format(1e6) + body + "write_restart x.restart\n", 2)
    assert run.returncode == 0, run.out
    first = lines_of(tmp_path / "devi.out")
    assert list(first[:, 0]) == [0, 2, 4]
    assert not list(tmp_path.glob("*.lammpstrj"))
    run = run_lammps("read_restart x.restart\n" + "\n".join(body.splitlines()[1:]), 2)
    assert run.returncode == 0, run.out
    lines = lines_of(tmp_path / "devi.out")
    assert list(lines[:, 0]) == [0, 2, 4, 4, 6, 8]
    np.testing.assert_array_equal(lines[:3], first)

    limit = 0.999999 * lines[4:, 4].max()  # the run must end in the step that has it
    stopped_at = int(lines[4:][lines[4:, 4] > limit][0, 0]) if lines[:4, 4].max() < limit else 0
    run = run_lammps(ionic + style.format(limit) + body.replace("run 4", "run 8"), 2)
    assert run.returncode == 0, run.out
    last = int(lines_of(tmp_path / "devi.out")[-1, 0])
    assert f"the run stops at step {last}: the models' forces on an atom deviate by" in run.log
    assert last == stopped_at or last < 4
    [frame] = tmp_path.glob("devi.out.*.lammpstrj")
    assert frame.name == f"devi.out.{last}.lammpstrj"
    text = frame.read_text()
    assert f"TIMESTEP\n{last}\n" in text
    positions = [line.split() for line in text.partition("element x y z\n")[2].splitlines()]
    final = run.dump("x.dump")
    np.testing.assert_allclose(
        [[float(x) for x in row[3:]] for row in positions],
        [[atom[c] for c in "xyz"] for atom in final], rtol=1e-9, atol=1e-9,
    )  # fmt: skip
    assert {row[2] for row in positions} == {"Si", "O"}


MISTAKES = {
    "one model": ("a.model 0 deviation d.out every 1", "there is one: write"),
    "a missing member": ("a.model no.model 0 deviation d.out every 1", "'no.model' does not exist"),
    "every 0": ("a.model b.model 0 deviation d.out every 0", "1 or more, got '0'"),
    "no every": ("a.model b.model 0 deviation d.out 10", "followed by every, got '10'"),
    "no file": ("a.model b.model 0 deviation", "no file given"),
    "not writable": ("a.model b.model 0 deviation no/d.out every 1", "No such file or directory"),
    "drive": ("a.model b.model 0 committee drive all", "must be mean or first, got 'all'"),
    "no drive": ("a.model b.model 0 committee mean", "followed by drive, got 'mean'"),
    "stop alone": ("a.model b.model 0 stop 1.0", "stop needs `deviation FILE every N`"),
    "stop 0": ("a.model b.model 0 deviation d.out every 1 stop 0", "larger than 0, got '0'"),
    "other elements": ("a.model odd.model 0", "odd.model: "),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_named_with_its_remedy(run_lammps, ionic, tmp_path, name):
    words, message = MISTAKES[name]
    write_model(
        tmp_path / "odd.model",
        make_model(info={"atomic_energies_map": {8: 0.0, 6: 0.0}}),
    )
    run = run_lammps(ionic + f"pair_style mliap unified {words}\n" + RUN.format(dump="x"), 2)
    assert run.returncode != 0
    [line] = [line for line in run.out.splitlines() if line.startswith("ERROR")]
    assert message in line, line
    assert "pair_style mliap unified" in line or "pair_coeff" in line or "does not exist" in line


def test_a_fix_that_asks_for_what_there_is_not(run_lammps, ionic):
    script = ionic + "pair_style mliap unified a.model 0\n" + RUN.format(dump="x")
    fix = "fix d all pair 1 mliap force_deviation 1\n"
    run = run_lammps(script.replace("run 4", fix + "run 0"))
    assert "cannot extract force_deviation_flag" in run.out


def test_the_calculator_takes_the_file(tmp_path):
    models = [make_model(seed=seed) for seed in range(2)]
    path = write_committee(tmp_path / "all.model", models)
    atoms = bulk("Si", a=5.6).repeat(2)
    atoms.rattle(0.1, seed=1)
    one, other = Calculator(path), Calculator(models)
    np.testing.assert_allclose(one.get_forces(atoms), other.get_forces(atoms), atol=1e-12)
    assert one.results["force_deviation"].max() > 0.01


def test_a_committee_file_that_is_not_whole(tmp_path):
    models = [make_model(seed=seed) for seed in range(2)]
    path = write_committee(tmp_path / "all.model", models)
    assert [one.sha256 for one in load_models(path)] != [one.sha256 for one in models]
    with pytest.raises(ModelFileError, match="holds a committee of 2 models"):
        load_model(path)
    kept = (tmp_path / "all.1.json").read_bytes()
    shutil.copy(tmp_path / "all.0.json", tmp_path / "all.1.json")
    with pytest.raises(ModelFileError, match=r"all.1.json' was altered: .* in all.json"):
        load_models(path)
    (tmp_path / "all.1.json").unlink()
    with pytest.raises(ModelFileError, match=r"all.1.json', a model of the committee .*missing"):
        load_models(path)
    (tmp_path / "all.1.json").write_bytes(kept)
    (tmp_path / "all.0.safetensors").unlink()
    with pytest.raises(ModelFileError, match=r"all.0.safetensors' are missing"):
        load_models(path)
    odd = make_model(info={"atomic_energies_map": {8: 0.0, 6: 0.0}})
    with pytest.raises(ValueError, match="number 1 of the list knows"):
        write_committee(tmp_path / "x.model", [models[0], odd])
    with pytest.raises(ValueError, match="2 to 100 models, got 1"):
        write_committee(tmp_path / "x.model", models[:1])
    assert not Path(tmp_path / "x.model").exists()
