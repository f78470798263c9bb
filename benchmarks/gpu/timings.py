"""Times of the reference model: what LAMMPS and the engine's own clock say, and the peers."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lammps_runs import ATOMS, STYLE, cells_of, run
from ours import write_model
from systems import ARCHITECTURES, write_case

from lammps_mace.coupling.log_report import read_peak_memory, read_stages

CELLS = (3, 5, 12, 24, 50)  # 216 to a million atoms
_STEP_ATOMS = 400_000  # atoms times steps that are timed, at least 10 steps and at most 200


@dataclass(frozen=True)
class Timing:
    """One run.

    Attributes:
        us: wall time of LAMMPS's loop, us per atom and step.
        stages: of it, by the engine's clock.
        first: s, the step that compiled.
        host: part of the loop that is not the model's program on the device.
        transferred: the log's line about bytes between host and device.
        device_mib, host_mib: the most memory.
    """

    atoms: int
    graphs: str
    us: float
    stages: dict[str, float]
    first: float
    host: float
    transferred: str
    device_mib: int | None
    host_mib: int


def write_reference(folder: Path) -> Path:
    """Write the reference model; return its path."""
    path = folder / "timed.model"
    case = {"channels": 128, "node_symmetry": 1, "l_max": 3, "elements": [14], "cutoff": 5.0}
    write_model(path, case)
    return path


def time_size(model: Path, atoms: int, env: dict[str, str]) -> Timing:
    """Time so many atoms."""
    steps = min(max(_STEP_ATOMS // atoms // 10, 1), 20) * 10
    start = ATOMS.format(cells=cells_of(atoms), types=1, second="", rattle=0.05)
    style = STYLE.format(model=model, words="", elements="Si")
    script = f"{start}{style}fix 1 all nve\nthermo {steps}\nrun 5\nrun {steps}\n"
    with _device_memory() as memory:
        log = run(script, model.parent, env)
    seconds = float(re.findall(r"^Loop time of ([\d.]+)", log, re.M)[-1])
    us, stages = 1e6 * seconds / steps / atoms, read_stages(log)
    programs = ("Whole step", "Inner layers", "Last layer", "Gradients")
    compiled = re.findall(r"read compiled code, took ([\d.]+) s", log)
    line = re.findall(r"device path: bytes per atom.*: (steps .*)", log)
    graphs, first = env.get("LAMMPS_MACE_GPU_GRAPHS", "0"), float(compiled[0]) if compiled else 0.0
    host = 1 - sum(stages.get(name, 0.0) for name in programs) / us
    return Timing(
        atoms, graphs, us, stages, first, host, line[-1] if line else "",
        max(memory, default=None), read_peak_memory(log),
    )  # fmt: skip


@contextmanager
def _device_memory():
    """Give a list to which the used memory of the first GPU is added twice a second, MiB."""
    found, done = [], threading.Event()
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", "0"]

    def watch() -> None:
        with suppress(OSError, subprocess.CalledProcessError, ValueError):
            while not done.wait(0.5):
                found.append(int(subprocess.check_output(query, text=True)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield found
    done.set()
    watcher.join()


def time_peers(environment: Path, folder: Path, sizes: list[int]) -> list[dict]:
    """Return us per atom and call of the peers' calculators, as `make bench` times them."""
    python, scripts = environment / "bin" / "python", Path(__file__).resolve().parents[1] / "peers"
    found = []
    for atoms in sizes:
        case = folder / f"case-{atoms}"
        write_case(case, ARCHITECTURES[0], cells_of(atoms), 0.05)
        subprocess.run([python, scripts / "mace_torch.py", "build", case], check=True)
        done = subprocess.run(
            [python, scripts / "mace_torch.py", case, "5", "cuda"], capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            found.append({"atoms": atoms, "peer": "mace-torch", "error": done.stderr[-500:]})
            continue
        seconds = min(json.loads(done.stdout.splitlines()[-1])["seconds"])
        found.append({"atoms": atoms, "peer": "mace-torch", "us": 1e6 * seconds / atoms})
    return found
