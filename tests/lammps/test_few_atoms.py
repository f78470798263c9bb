"""MACE where there is almost nothing: isolated atoms, ranks without pairs, atoms on each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import CUTOFF, Structure, find_pairs, make_model, write_model

from lammps_mace import Mace

LENGTH = 24.0  # Å, of the box
FAR = (2.0, 3.0, 4.0)
# Name: species (0 is O, 1 is Si) and positions.
CASES = {
    "O": ([0], [FAR]),
    "Si": ([1], [FAR]),
    "a rank each": ([0, 1], [FAR, (20.0, 3.0, 4.0)]),
    "one rank has pairs": ([0, 1, 0], [FAR, (20.0, 3.0, 4.0), (21.0, 3.5, 5.0)]),
    "0.1 Angstrom apart": ([0, 1], [FAR, (2.06, 3.08, 4.0)]),
}

START = f"""
units metal
processors * 1 1
region box block 0 {LENGTH} 0 {LENGTH} 0 {LENGTH}
create_box 2 box
mass * 20
pair_style mliap unified x.model 0
pair_coeff * * O Si
compute f all reduce sumsq fx fy fz
variable f equal sqrt(c_f[1]+c_f[2]+c_f[3])
thermo_style custom step pe v_f
thermo_modify format float %.16g norm no
fix 1 all nve
timestep 1e-6
"""


def section(name):
    """Return the commands that replace all atoms and move them."""
    atoms = [
        f"create_atoms {kind + 1} single {x} {y} {z}"
        for kind, (x, y, z) in zip(*CASES[name], strict=True)
    ]
    return "\n".join(["delete_atoms group all", *atoms, "reset_timestep 0", "run 1\n"])


def truths(model):
    """Return energy and the norm of all forces of each case.

    All cases side by side are one structure for the network; atoms without pairs need none.
    """
    species = np.concatenate([CASES[name][0] for name in CASES])
    shifts = [np.array([0.0, 0.0, LENGTH * k]) for k in range(len(CASES))]
    parts = [np.array(CASES[name][1]) + shifts[k] for k, name in enumerate(CASES)]
    positions, cell = np.concatenate(parts), np.diag([LENGTH, LENGTH, LENGTH * len(CASES)])
    structure = Structure(positions, cell, species, *find_pairs(positions, cell, CUTOFF))
    energies, gradient = network(model, structure)
    info, paired = model.dataset_info, np.isin(np.arange(len(species)), structure.centres)
    isolated = np.array([info.scaling_mean + info.atomic_energies()[z] for z in (8, 14)])
    energies = np.where(paired, energies, isolated[species])
    forces = np.zeros_like(positions)
    np.add.at(forces, structure.centres, gradient)
    np.subtract.at(forces, structure.neighbours, gradient)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    split = zip(np.split(energies, ends), np.split(forces, ends), strict=True)
    return [(e.sum(), np.linalg.norm(f)) for e, f in split]


def network(model, structure):
    """Return the energy of each atom, and dE/d(vectors) of their sum."""

    params = jax.tree.map(jnp.asarray, model.params)

    def energy(vectors):
        graph = Mace(model.config, model.dataset_info).apply(
            {"params": params}, structure.graph(vectors)
        )
        energies = graph.nodes.features["energy"]
        return energies.sum(), energies

    gradient, energies = jax.jit(jax.grad(energy, has_aux=True))(jnp.asarray(structure.vectors))
    return np.asarray(energies), np.asarray(gradient)


@pytest.mark.parametrize(
    ("dtype", "tolerance", "counts"), [("float64", 1e-9, (4,)), ("float32", 1e-4, (2,))]
)
def test_few_atoms(run_lammps, tmp_path, dtype, tolerance, counts):
    model = make_model(dtype)
    write_model(tmp_path / "x.model", model)
    true = truths(model)
    assert true[-1][1] > 0.01  # eV/Å: atoms this close do feel each other
    for ranks in counts:
        run = run_lammps(START + "".join(map(section, CASES)), ranks)
        assert run.returncode == 0, run.out
        got = [(row["PotEng"], row["v_f"]) for row in run.thermo() if row["Step"] == 0]
        assert got == [pytest.approx(pair, rel=tolerance, abs=tolerance) for pair in true]


@pytest.mark.parametrize("ranks", [1, 2])
def test_atoms_in_one_place(run_lammps, tmp_path, ranks):
    """On two ranks rank 1 has no atom; the network takes a pair without direction for padding."""
    write_model(tmp_path / "x.model", make_model())
    close = section("0.1 Angstrom apart")
    run = run_lammps(START + close.replace("2.06 3.08", "2.0 3.0"), ranks)
    assert run.returncode != 0
    assert "and another atom are in the same place: remove one" in run.log
    assert f"(rank 0 of {ranks}, step 0)" in run.log
