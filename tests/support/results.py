"""Per-atom and global results of a LAMMPS run, and how two runs are compared."""

import numpy as np
import pytest

# Sums of some hundred terms in float64, in another order on each number of ranks.
RELATIVE = 1e-11
OUTPUT = """
compute e all pe/atom
compute s all stress/atom NULL
dump d all custom 1 dump.txt id fx fy fz c_e c_s[1] c_s[2] c_s[3] c_s[4] c_s[5] c_s[6]
dump_modify d format float %.16g
thermo_style custom step pe press pxx pyy pzz pxy pxz pyz
thermo_modify format float %.16g norm no
"""


def results(run):
    """Return per-atom results as one array and the last thermo row."""
    assert run.returncode == 0, run.out
    columns = ["fx", "fy", "fz", "c_e", *(f"c_s[{k}]" for k in range(1, 7))]
    atoms = np.array([[atom[name] for name in columns] for atom in run.dump()])
    return atoms, run.thermo()[-1]


def assert_same(got, expected, tolerance=RELATIVE):
    """Compare each column on the scale of its largest value."""
    (atoms, thermo), (true_atoms, true_thermo) = got, expected
    scale = np.abs(true_atoms).max(axis=0)
    np.testing.assert_allclose(atoms / scale, true_atoms / scale, rtol=0, atol=tolerance)
    scale = max(abs(value) for name, value in true_thermo.items() if name.startswith("P"))
    for name, value in true_thermo.items():
        assert thermo[name] == pytest.approx(value, rel=tolerance, abs=tolerance * scale), name
