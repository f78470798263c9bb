"""Run the first steps of the silicon example with the lammps-mace beside this Python.

With each instruction set of this machine on one rank, then on two ranks: all must find the same
energy. `--install WHEEL` installs a wheel first, and says how long that and the first step take.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "silicon"
INPUT = """units metal
lattice diamond 5.431
region box block 0 4 0 4 0 4
create_box 1 box
create_atoms 1 box
mass 1 28.0855
pair_style mliap unified silicon.model 0
pair_coeff * * Si
velocity all create 600 4711
fix 1 all nve
timestep 0.002
thermo 1
thermo_style custom step pe etotal
thermo_modify format float %.12g flush yes
run 20
"""
LAST = 20
SAME = 1e-5  # relative, of float32 sums in another order
BIN = Path(sysconfig.get_path("scripts"))


def run(folder: Path, ranks: int, **variables: str) -> tuple[float, float]:
    """Return when the first step was done, s, and the potential energy after the last."""
    (folder / "in.first").write_text(INPUT)
    command = [*([BIN / "mpirun", "-np", str(ranks)] if ranks > 1 else []), BIN / "lmp"]
    process = subprocess.Popen(
        [*command, "-in", "in.first"], cwd=folder, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", **variables},
    )  # fmt: skip
    first, energies, lines = 0.0, {}, []
    for line in process.stdout or ():
        lines.append(line)
        words = line.split()
        if len(words) == 3 and words[0].isdecimal():
            energies[int(words[0])] = float(words[1])
            if 1 in energies and not first:
                first = time.monotonic()
    if process.wait() or LAST not in energies:
        raise SystemExit("".join(lines) + f"LAMMPS ended with {process.returncode}")
    return first, energies[LAST]


def instruction_sets() -> list[str]:
    """Return those for which this machine has kernels, by the names of LAMMPS_MACE_ISA."""
    from lammps_mace.kernels import native

    found = []
    for name in native.instruction_sets():
        try:
            native.use_instruction_set(name)
        except native.KernelError as error:
            print(f"not run: {error}")
        else:
            found.append(name)
    return found


def install(wheel: str) -> None:
    """Install a wheel and what it needs, as wheels too."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    subprocess.run([*pip, "--disable-pip-version-check", wheel], check=True)


def main() -> None:
    """Install if asked to, run, compare."""
    compilers = [n for n in ("cc", "c++", "gcc", "g++", "clang", "clang++") if shutil.which(n)]
    print(f"compilers in PATH: {', '.join(compilers) or 'none'}")
    begin = time.monotonic()
    if sys.argv[1:2] == ["--install"]:
        install(sys.argv[2])
        print(f"pip install took {time.monotonic() - begin:.1f} s")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in EXAMPLE.glob("silicon.*"):
            shutil.copy(file, folder)
        first, truth = run(folder, 1, LAMMPS_MACE_CACHE=str(folder / "cache"))
        print(f"the first step was done after {first - begin:.1f} s, with an empty cache")
        wrong = 0
        cases = [*((1, isa) for isa in instruction_sets()), (2, "")]
        for ranks, isa in cases:
            _, energy = run(folder, ranks, **({"LAMMPS_MACE_ISA": isa} if isa else {}))
            deviation = abs(energy / truth - 1)
            wrong += deviation > SAME
            print(f"{isa or 'default'} on {ranks}: {energy:.6f} eV, {deviation:.1e} off")
    if wrong:
        raise SystemExit("the energies are not the same")


if __name__ == "__main__":
    main()
