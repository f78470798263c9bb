"""symmetrix-xl: time a case; case.symmetrix.json was extracted from mace-torch's model."""

from __future__ import annotations

import sys
from pathlib import Path

from symmetrix import Symmetrix
from timing import read_case, time_calculator

folder = Path(sys.argv[1])
case, atoms = read_case(folder)
path = str(folder / "case.symmetrix.json")
atoms.calc = Symmetrix(path, dtype=case["dtype"], head=case["head"])
time_calculator(atoms, float(sys.argv[2]))
