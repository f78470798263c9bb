"""Heat current and centroid stress: against lj/cut, and against derivatives of site energies."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from centroid_truth import brute_force
from results import RELATIVE
from small import CUTOFF, make_model, write_model

from lammps_mace import Graph, Mace
from lammps_mace.graph import Edges, Nodes

BAR = 1.6021765e6  # bar per eV/Å^3 in LAMMPS
OUTPUT = """
velocity all create 400 4711 loop all
compute k all ke/atom
compute e all pe/atom
compute w all centroid/stress/atom NULL virial
compute h all stress/atom NULL virial
compute j all heat/flux k e w
dump d all custom 1 dump.txt id vx vy vz c_e c_w[*] c_h[*]
dump_modify d format float %.17g
thermo_style custom step pe c_j[*]
thermo_modify format float %.17g norm no
run 0
"""
ORDER = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)]
CENTROID = [f"c_w[{k}]" for k in range(1, 10)]
FLUX = [f"c_j[{k}]" for k in range(1, 7)]
LJ = "pair_style lj/cut 8.5\npair_modify shift yes\npair_coeff * * 0.0104 3.4\n"
OURS = "pair_style mliap unified lj.model 0\npair_coeff * * Ar\n"


def columns(run, names):
    assert run.returncode == 0, run.out
    return np.array([[atom[name] for name in names] for atom in run.dump()])


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_lennard_jones_equals_lj_cut(run_lammps, prepare, classical, argon, ranks):
    start = prepare(argon)
    truth = run_lammps(start + LJ + OUTPUT)
    stress, (row,) = columns(truth, CENTROID), truth.thermo()
    ours = run_lammps(start + OURS + OUTPUT, ranks, classical(cutoff=8.5))
    scale = np.abs(stress).max()
    np.testing.assert_allclose(columns(ours, CENTROID), stress, rtol=0, atol=RELATIVE * scale)
    (mine,) = ours.thermo()
    flux = [row[name] for name in FLUX]
    got = [mine[name] for name in FLUX]
    np.testing.assert_allclose(got, flux, rtol=0, atol=1e-10 * np.abs(flux).max())


@pytest.fixture
def cluster(tmp_path):
    """Return positions and species of 24 atoms in a box, written as start.data."""
    rng = np.random.default_rng(5)
    grid = np.stack(np.meshgrid([0, 1, 2], [0, 1, 2, 3], [0, 1], indexing="ij"), -1)
    positions = grid.reshape(-1, 3) * 2.2 + rng.normal(scale=0.15, size=(24, 3)) + 3.0
    species = rng.integers(0, 2, 24)
    lines = ["cluster", "", "24 atoms", "2 atom types", ""]
    lines += [f"0 15 {x}lo {x}hi" for x in "xyz"] + ["", "Masses", "", "1 16", "2 28", ""]
    lines += ["Atoms # atomic", ""]
    for i, (s, x) in enumerate(zip(species, positions, strict=True)):
        lines.append(f"{i + 1} {s + 1} " + " ".join(f"{c:.17g}" for c in x))
    (tmp_path / "start.data").write_text("\n".join(lines) + "\n")
    return positions, species


def site_energy_gradient(model, positions, species):
    """Return dU_i/dx_j, [i, j, 3], eV/Å, of the network itself."""
    distances = np.linalg.norm(positions[:, None] - positions, axis=-1)
    senders, receivers = np.nonzero((distances < CUTOFF) & (distances > 0))
    network, params = (
        Mace(model.config, model.dataset_info),
        jax.tree.map(jnp.asarray, model.params),
    )

    def energies(x):
        graph = Graph(
            Nodes(jnp.asarray(species, jnp.int32)), Edges(vectors=x[receivers] - x[senders]),
            jnp.asarray(senders, jnp.int32), jnp.asarray(receivers, jnp.int32),
            jnp.asarray([len(x)], jnp.int32),
        )  # fmt: skip
        return network.apply({"params": params}, graph).nodes.features["energy"]

    return np.asarray(jax.jacrev(energies)(jnp.asarray(positions)))


@pytest.mark.parametrize("ranks", [1, 2])
def test_one_layer_is_the_many_body_heat_current(run_lammps, cluster, tmp_path, ranks):
    """W_j = -sum_i (x_j - x_i) dU_i/dx_j, and J = sum_j (e_j + W_j) v_j."""
    positions, species = cluster
    model = make_model(num_layers=1)
    write_model(tmp_path / "x.model", model)
    script = "units metal\nboundary f f f\nread_data start.data\n"
    script += "pair_style mliap unified x.model 0\npair_coeff * * O Si\n" + OUTPUT
    run = run_lammps(script, ranks)
    gradient = site_energy_gradient(model, positions, species)
    apart = positions - positions[:, None]  # [i, j]: x_j - x_i
    virial = -np.einsum("ija,ijb->jab", apart, gradient)
    expected = -BAR * np.stack([virial[:, a, b] for a, b in ORDER], axis=1)
    stress, scale = columns(run, CENTROID), np.abs(expected).max()
    np.testing.assert_allclose(stress, expected, rtol=0, atol=1e-10 * scale)
    (row,) = run.thermo()
    velocity = columns(run, ["vx", "vy", "vz"])
    flux = np.einsum("jab,jb->a", virial, velocity)
    got = [row[f"c_j[{k}]"] - row[f"c_j[{k + 3}]"] for k in (1, 2, 3)]
    np.testing.assert_allclose(got, flux, rtol=0, atol=1e-9 * np.abs(flux).max())
    # Control: half of each pair to each atom, which is stress/atom, is something else.
    half = columns(run, [f"c_h[{k}]" for k in range(1, 7)])
    assert np.abs(half - stress[:, :6]).max() > 1e-2 * scale


LAYERS = (1, 2, 3)
EXACT, FLOAT32 = 1e-9, 1e-5  # of the largest; float32: rounding, and positions of some Å
STRONG = {"avg_num_neighbors": 1.0}  # sums that are large, and so are their products
CELL = """six atoms

6 atoms
3 atom types
0 3.6 xlo xhi
0 4.1 ylo yhi
0 4.6 zlo zhi
0.7 -0.5 0.9 xy xz yz

Masses

1 16
2 28
3 4

Atoms # atomic

"""
SCALED = [
    [0.05, 0.22, 0.12], [0.30, 0.45, 0.85], [0.15, 0.66, 0.38], [0.58, 0.17, 0.63],
    [0.80, 0.80, 0.20], [0.47, 0.61, 0.94],
]  # fmt: skip
TYPES = [1, 3, 2, 2, 3, 1]


BOX = np.array([[3.6, 0, 0], [0.7, 4.1, 0], [-0.5, 0.9, 4.6]])
SEEN = np.array(TYPES) != 3


@pytest.fixture(scope="module")
def depths():
    """Return models of 1, 2 and 3 layers, and W of the atoms that they see."""
    atoms = Atoms("OSiSiO", (SCALED @ BOX)[SEEN], cell=BOX, pbc=True)
    models = {n: make_model(num_layers=n, info=STRONG) for n in LAYERS}
    return {n: (model, brute_force(model, atoms, n)) for n, model in models.items()}


def run_models(run_lammps, folder, models, ranks):
    """Run models, by their names, in a script, beside atoms that they do not see."""
    rows = zip(TYPES, SCALED @ BOX, strict=True)
    text = "".join(f"{i} {kind} {x} {y} {z}\n" for i, (kind, (x, y, z)) in enumerate(rows, 1))
    (folder / "start.data").write_text(CELL + text)
    script, names = "units metal\nread_data start.data\n", OUTPUT
    for name, model in models.items():
        write_model(folder / f"{name}.model", model)
        script += f"pair_style hybrid mliap unified {name}.model 0 zero 4.0\n"
        script += "pair_coeff * * mliap O Si NULL\npair_coeff * 3 zero\n"
        script += names.replace("dump.txt", f"{name}.txt") + "undump d\n"
        names = OUTPUT[OUTPUT.index("dump") :]  # computes stay
    run = run_lammps(script, ranks)
    assert run.returncode == 0, run.out
    return run


def check_current(dump, row, truth, bound):
    """Compare what a model wrote with W; return the error of W relative to its largest."""
    virial = np.zeros((len(TYPES), 3, 3))
    virial[SEEN] = truth
    expected = -BAR * np.stack([virial[:, a, b] for a, b in ORDER], axis=1)
    got = np.array([[atom[name] for name in CENTROID] for atom in dump])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound * scale)
    velocity = np.array([[atom[name] for name in ("vx", "vy", "vz")] for atom in dump])
    flux = np.einsum("jab,jb->a", virial, velocity)
    mine = [row[f"c_j[{k}]"] - row[f"c_j[{k + 3}]"] for k in (1, 2, 3)]
    np.testing.assert_allclose(mine, flux, rtol=0, atol=bound * np.abs(flux).max())
    # Control: the partition of stress/atom.
    half = np.array([[atom[f"c_h[{k}]"] for k in range(1, 7)] for atom in dump])
    assert np.abs(half - got[:, :6]).max() > 1e-2 * scale
    np.testing.assert_allclose(half.sum(axis=0), got[:, :6].sum(axis=0), rtol=0, atol=bound * scale)
    return np.abs(got - expected).max() / scale


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_current_of_any_depth(run_lammps, tmp_path, depths, ranks):
    """In a triclinic box smaller than the cutoff, against derivatives of energies in a cluster."""
    models = {str(n): model for n, (model, _) in depths.items()}
    truths = [truth for _, truth in depths.values()]
    if ranks == 2:
        models["float32"] = replace(models["3"], dtype="float32")
        truths.append(truths[-1])
    run = run_models(run_lammps, tmp_path, models, ranks)
    for name, row, truth in zip(models, run.thermo(), truths, strict=True):
        dump = run.dump(f"{name}.txt")
        if name == "float32":
            assert check_current(dump, row, truth, FLOAT32) > EXACT
        else:
            check_current(dump, row, truth, EXACT)


RUN = """
units metal
boundary p p p
lattice diamond 5.43
region box block 0 2 0 1 0 1
create_box 2 box
create_atoms 2 box
set type 2 type/fraction 1 0.4 1234
mass * 20
displace_atoms all random 0.2 0.2 0.2 17
pair_style mliap unified x.model 0
pair_coeff * * O Si
velocity all create 3000 4711 loop geom
fix move all nve
timestep 0.001
thermo 5
"""
CURRENT = """
compute k all ke/atom
compute e all pe/atom
compute w all centroid/stress/atom NULL virial
compute j all heat/flux k e w
thermo_style custom step pe c_j[*]
"""


def test_in_a_run_on_several_ranks(run_lammps, tmp_path):
    """Steps that compute it, and those in between that do not; the trajectory is the same."""
    write_model(tmp_path / "x.model", make_model(num_layers=2, info=STRONG))
    end = "thermo_modify format float %.17g norm no\nrun 20\n"
    without = run_lammps(RUN + "thermo_style custom step pe\n" + end).thermo()
    one, two = (run_lammps(RUN + CURRENT + end, ranks).thermo() for ranks in (1, 2))
    assert len(one) == len(two) == len(without) == 5
    np.testing.assert_allclose(
        [row["PotEng"] for row in one], [row["PotEng"] for row in without], rtol=1e-11
    )
    values = np.array([[row[name] for name in FLUX] for row in one])
    other = np.array([[row[name] for name in FLUX] for row in two])
    np.testing.assert_allclose(other, values, rtol=0, atol=1e-9 * np.abs(values).max())
    assert (np.ptp(values, axis=0) > 1e-3 * np.abs(values).max(axis=0)).all()  # a control


def test_real_units(run_lammps, prepare, classical, argon):
    """kcal/mol: the same numbers as lj/cut with its well depth in kcal/mol."""
    start = prepare(argon.replace("units metal", "units real"))
    truth = run_lammps(start + LJ.replace("0.0104", f"{0.0104 * 23.060549:.17g}") + OUTPUT)
    ours = run_lammps(start + OURS + OUTPUT, 2, classical(cutoff=8.5))
    for names in (CENTROID, ["c_e"], [f"c_h[{k}]" for k in range(1, 7)]):
        expected = columns(truth, names)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(columns(ours, names), expected, rtol=0, atol=RELATIVE * scale)
    (one,), (other,) = truth.thermo(), ours.thermo()
    assert other["PotEng"] == pytest.approx(one["PotEng"], rel=RELATIVE)
