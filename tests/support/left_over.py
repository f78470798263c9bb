"""The atoms that a LAMMPS run leaves in a dump, and what a plain evaluation says about them."""

import ase.io
import numpy as np
import pytest

FORMAT = "id type x y z fx fy fz c_e"
SUMS = 1e-9  # relative, float64: the same sums in another order


def dump(name: str, group: str = "all") -> str:
    """Return commands that write atoms, forces and energies of a group at the last step."""
    return (
        f"compute e all pe/atom\ndump {name} {group} custom 1 {name}.dump {FORMAT}\n"
        f"dump_modify {name} format float %.17g\n"
    )


def assert_plain(run, name, evaluator, elements, energy):
    """Compare a dump's forces and energies, and the energy of the run, with the evaluation."""
    path = run.folder / f"{name}.dump"
    atoms = ase.io.read(path, format="lammps-dump-text", specorder=elements, index=-1)
    rows = run.dump(path.name)
    truth = evaluator.evaluate(atoms)
    assert energy == pytest.approx(truth.energy, rel=SUMS), name
    found = np.array([[row[column] for column in ("fx", "fy", "fz", "c_e")] for row in rows])
    expected = np.column_stack([truth.forces, truth.energies])
    scale = np.abs(expected).max(axis=0)
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=SUMS, err_msg=name)
    return atoms
