"""Ranks of the real mpirun on several devices of XLA's host platform."""

import os
import re
import subprocess

import ase.build
import ase.io
import pytest
from programs import SCRIPTS
from small import make_model, write_model

SCRIPT = """
units metal
lattice diamond 5.43
region box block 0 2 0 1 0 1
create_box 1 box
create_atoms 1 box
mass 1 28
displace_atoms all random 0.1 0.1 0.1 17
pair_style mliap unified x.model 0
pair_coeff * * Si
thermo_modify format float %.10g
run 0
run 0
"""
DEVICES = "--xla_force_host_platform_device_count="


@pytest.fixture
def start(run_lammps, tmp_path):
    """Return a function that runs on so many ranks and devices, and gives the run and its map."""
    write_model(tmp_path / "x.model", make_model(num_channels=2, l_max=1))

    def run(ranks, devices, script=SCRIPT, **options):
        env = {"XLA_FLAGS": f"{DEVICES}{devices}"}
        done = run_lammps(script, ranks, env, **options)
        assert done.returncode == 0, done.out
        return done, re.findall(r"(ranks? [-\d ]+) -> (cpu[:\d]*)", done.out)

    return run


def test_each_rank_has_its_own_device(start):
    run, places = start(2, 4)  # more devices than ranks
    assert places == [("rank 0", "cpu:0"), ("rank 1", "cpu:1")]  # once, though there are two runs
    assert "rank 1 -> cpu:1; 1 CPU thread each" in run.log


def test_more_ranks_than_devices(start):
    _, places = start(4, 2)
    assert places == [(f"rank {rank}", f"cpu:{rank % 2}") for rank in range(4)]


def test_one_cpu_is_everyones(start):
    assert start(2, 1)[1] == [("ranks 0-1", "cpu")]


def test_worlds_share_the_devices(start):
    """The ranks of the second world do not begin with the first device again."""
    script = "variable w world a b\nlog log.$w\n" + SCRIPT
    run, _ = start(2, 2, script, arguments=("-partition", "2x1"))
    maps = [
        re.findall(r"-> (cpu[:\d]*)", (run.folder / f"log.{world}").read_text()) for world in "ab"
    ]
    assert maps == [["cpu:0"], ["cpu:1"]]


def test_a_world_without_the_pair_style_is_not_waited_for(start):
    body = SCRIPT.replace("pair_style mliap unified x.model 0", "pair_style ${style}")
    body = body.replace("* * Si", "* * ${rest}")
    choice = 'variable style world "mliap unified x.model 0" "zero 4.0"\n'
    choice += 'variable rest world Si ""\n'
    start(2, 1, choice + body, arguments=("-partition", "2x1"))


@pytest.mark.parametrize("platforms", ["cuda", "nonsense"])
def test_no_device(run_lammps, tmp_path, platforms):
    write_model(tmp_path / "x.model", make_model(num_channels=2, l_max=1))
    done = run_lammps(SCRIPT, 2, {"JAX_PLATFORMS": platforms}, timeout=60)
    assert done.returncode != 0
    assert f"JAX starts on no device with JAX_PLATFORMS='{platforms}' (" in done.log
    assert "): unset it to take what there is, or install" in done.log


@pytest.mark.parametrize("command", ["check", "estimate"])
def test_commands_without_a_device(tmp_path, command):
    write_model(tmp_path / "x.model", make_model(num_channels=2, l_max=1))
    ase.io.write(tmp_path / "si.xyz", ase.build.bulk("Si"))
    arguments = {"check": ["si.xyz"], "estimate": ["--atoms", "8"]}[command]
    done = subprocess.run(
        [SCRIPTS / "lammps-mace", command, "x.model", *arguments], cwd=tmp_path, text=True,
        env={**os.environ, "JAX_PLATFORMS": "cuda"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    *progress, error = done.stderr.splitlines()
    assert error.startswith(f"lammps-mace {command}: JAX starts on no device with JAX_PLAT")
    # Where starting takes seconds, a line says what is going on.
    assert all(line.startswith("lammps-mace: ") for line in progress)
