"""The notebook runs in a Jupyter kernel; its numbers are Stillinger-Weber's and LAMMPS's."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass

import nbformat
import numpy as np
import pytest
import quick_xla
from example_runs import ENVIRONMENT, EXAMPLES
from nbclient import NotebookClient

NOTEBOOK = EXAMPLES / "notebook/silicon.ipynb"
# What the example of silicon promises, see test_silicon.py; float32: eV per atom, eV/Å.
LATTICE_CONSTANT, BULK_MODULUS = 0.005, 0.05
ENERGY, FORCE = 1e-6, 1e-5
SHOW = """
import json
print(json.dumps({
    "lattice": list(silicon.cell.lengths()), "volume": volume, "modulus": modulus / GPa,
    "potential": potential, "again": again, "total": total, "force_errors": force_errors,
}))
"""


@dataclass(frozen=True)
class Ran:
    cells: list  # as the kernel left them
    values: dict[str, float | list[float]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run the notebook in a kernel of its own, away from the sources and the user's files."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("silicon", "notebook"):
        ignored = shutil.ignore_patterns(".ipynb_checkpoints")
        shutil.copytree(EXAMPLES / name, folder / name, ignore=ignored)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(SHOW))
    client = NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(folder / "notebook")}}
    )
    client.execute(env={
        **ENVIRONMENT, "XLA_FLAGS": quick_xla.FLAGS, "IPYTHONDIR": str(folder / "ipython"),
    })  # fmt: skip
    *cells, last = notebook.cells
    return Ran(cells, json.loads(last.outputs[0].text))


def test_equation_of_state_is_that_of_stillinger_weber(ran):
    assert ran.values["lattice"] == pytest.approx([5.431] * 3, rel=LATTICE_CONSTANT)
    assert np.ptp(ran.values["lattice"]) < 1e-3  # cubic again
    assert ran.values["volume"] ** (1 / 3) == pytest.approx(5.431, rel=LATTICE_CONSTANT)
    assert ran.values["modulus"] == pytest.approx(101.4, rel=BULK_MODULUS)


def test_ase_and_lammps_agree(ran):
    """At each of the frames of a run in which the energy is conserved."""
    lammps, ase = (np.array(ran.values[name]) / 64 for name in ("potential", "again"))
    assert len(lammps) == 11
    np.testing.assert_allclose(ase, lammps, rtol=0, atol=ENERGY)
    assert max(ran.values["force_errors"]) < FORCE
    assert np.ptp(np.array(ran.values["total"]) / 64) < 2e-3
    # Control: the energy of the frame before is another one.
    assert np.abs(ase[:-1] - lammps[1:]).min() > 100 * ENERGY


def test_it_ends_with_a_picture(ran):
    assert "image/png" in ran.cells[-1].outputs[0].data


def test_no_output_is_kept():
    cells = [c for c in nbformat.read(NOTEBOOK, as_version=4).cells if c.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in cells] == [([], None)] * len(cells)
