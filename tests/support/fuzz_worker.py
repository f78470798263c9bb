"""Read spoiled files in a process of its own: fuzz_worker.py KIND FOLDER FIRST COUNT [CONTROL].

Every case ends with contents or with UnusableFileError, within 10 s of processor time and 1 GiB,
and executes nothing of a file. The first that does not ends the process and is its last line.
What kills the process, :func:`series` sees: the seed is in FOLDER/seed. It goes on behind it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS, WALL_SECONDS, BYTES = 10, 300, 2**30
ENGINE_EVERY = 400  # of the model files that are read, an engine is made: it takes a second


class Reader:
    """Reads one file on every way that a file comes in."""

    def __init__(self, folder: Path) -> None:
        import spoiled_files

        from lammps_mace.cli import info, main
        from lammps_mace.convert import convert
        from lammps_mace.coupling.plugin_potential import PluginPotential
        from lammps_mace.errors import UnusableFileError
        from lammps_mace.lowering.charge_settings import charge_settings
        from lammps_mace.modelfile import load_model, read_parts, read_stub

        self.files = spoiled_files.Files(folder)
        self.refusal = UnusableFileError
        self._load, self._convert, self._potential = load_model, convert, PluginPotential
        self._read_stub, self._read_parts, self._charges = read_stub, read_parts, charge_settings
        self._describe, self._main = info.describe, main.main
        self._read = 0

    def __call__(self, seed: int) -> str:
        """Return what became of the file of this seed: "read" or "refused"."""
        files = self.files
        if files.write(seed) == "checkpoint":
            return self._outcome(lambda: self._convert(files.checkpoint, files.folder / "y.model"))
        first = self._outcome(lambda: self._use(self._load(files.model)))
        if first == "read":
            self._read += 1
            if self._read % ENGINE_EVERY == 1:
                self._potential(str(files.model), None, "metal")
        elif seed % 4 == 0:  # the plugin's and ML-IAP's ways, and the command's
            for other in (self._as_plugin, self._as_mliap):
                if self._outcome(other) == "read":
                    raise AssertionError(f"load_model refuses what {other.__name__} reads")
            if seed % 100 == 0 and self._main(["info", str(files.model)]) != 2:
                raise AssertionError("lammps-mace info does not refuse it")
        return first

    def _outcome(self, read: Callable[[], Any]) -> str:
        try:
            read()
        except self.refusal as error:
            if not str(error):
                raise AssertionError("a refusal without words") from error
            return "refused"
        return "read"

    def _use(self, model: Any) -> None:
        self._charges(model)
        self._describe(model, self.files.model)

    def _as_plugin(self) -> None:
        self._potential(str(self.files.model), None, "metal")

    def _as_mliap(self) -> None:
        stub = self._read_stub(self.files.model.read_bytes(), "x.model")
        self._read_parts(stub, None, None)


class TorchReader:
    """Reads one file of torch: its records, and the network in them."""

    def __init__(self, folder: Path) -> None:
        import spoiled_torch

        from lammps_mace.convert.torch.checkpoint import read_torch_checkpoint
        from lammps_mace.convert.torch.reader import read_records
        from lammps_mace.errors import UnusableFileError

        self.files = spoiled_torch.TorchFiles(folder)
        self.refusal = UnusableFileError
        self.read = lambda path: read_torch_checkpoint(read_records(path), path.name)

    def __call__(self, seed: int) -> str:
        """Return what became of the file of this seed: "read" or "refused"."""
        self.files.write(seed)
        path = self.files.checkpoint
        Path("/proc/self/clear_refs").write_text("5")  # peak := now
        before = peak_bytes()
        words = None
        try:
            self.read(path)
        except self.refusal as error:
            words = str(error)
        assert words != "", "a refusal without words"
        most = TIMES_THE_FILE * path.stat().st_size + SPARE_BYTES
        assert peak_bytes() - before < most, f"memory: {peak_bytes() - before:,} bytes"
        return "read" if words is None else "refused"


TIMES_THE_FILE, SPARE_BYTES = 4, 2**25
KINDS = {"all": Reader, "torch": TorchReader}


# What the detectors must find: each does to its file what a careless reader would.
def peak_bytes() -> int:
    """Return this process's peak memory; what getrusage says holds its parent's too."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])


def _unpickle(reader: Reader, seed: int) -> str:
    from spoiled_files import Canary

    pickle.loads(pickle.dumps(Canary(reader.files.canary)))
    return "read"


def _memo_bomb(reader: Reader, seed: int) -> str:
    from spoiled_files import MEMO_BOMB

    pickle.loads(MEMO_BOMB)
    return "read"


def _deep_json(reader: Reader, seed: int) -> str:
    return str(json.loads("[" * 100_000))


def _endless(reader: Reader, seed: int) -> str:
    while True:
        pass


def _crash(reader: Reader, seed: int) -> str:
    os.abort()


def _too_much_of_torch(reader: TorchReader, seed: int) -> str:
    reader.read = lambda path: bytearray(TIMES_THE_FILE * path.stat().st_size + 2 * SPARE_BYTES)
    return reader(seed)


CONTROLS = {"executed": _unpickle, "memory": _memo_bomb, "foreign": _deep_json,
            "hang": _endless, "crash": _crash, "much": _too_much_of_torch}  # fmt: skip


def work(kind: str, folder: Path, first: int, count: int, control: str | None) -> None:
    """Read files; print how many were read and refused, and the finding that ended it."""
    reader = KINDS[kind](folder)
    read = (lambda seed: CONTROLS[control](reader, seed)) if control else reader
    counts: Counter[str] = Counter()
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # the command's refusals
    finding = ""
    for seed in range(first, first + count):
        (folder / "seed").write_text(f"{seed} {json.dumps(counts)}")
        signal.setitimer(
            signal.ITIMER_PROF, 1 if control == "hang" else SECONDS
        )  # its signal kills
        faulthandler.dump_traceback_later(WALL_SECONDS, exit=True, file=sys.__stderr__)
        try:
            counts[read(seed)] += 1
        except BaseException:
            finding = "foreign: " + traceback.format_exc()
        if reader.files.canary.exists():
            finding = "executed"
        if peak_bytes() > BYTES:
            finding = "memory"
        if finding:
            break
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps({"counts": counts, "seed": seed, "finding": finding}))


def series(
    folder: Path,
    first: int,
    count: int,
    control: str | None = None,
    batch: int = 20_000,
    kind: str = "all",
) -> tuple[Counter[str], list[tuple[int, str]]]:
    """Run workers over seeds; return how many files were read and refused, and the findings."""
    totals: Counter[str] = Counter()
    findings: list[tuple[int, str]] = []
    seed, end = first, first + count
    while seed < end:
        size = min(batch, end - seed)
        command = [sys.executable, __file__, kind, str(folder), str(seed), str(size)]
        done = subprocess.run(
            [*command, *([control] if control else [])], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            last = json.loads(done.stdout.splitlines()[-1])
        else:
            at, counts = (folder / "seed").read_text().split(" ", 1)
            hang = done.returncode == -signal.SIGPROF or "Timeout" in done.stderr
            what = "hang" if hang else f"crash: {done.returncode} {done.stderr[-2000:]}"
            last = {"counts": json.loads(counts), "seed": int(at), "finding": what}
        totals.update(last["counts"])
        if last["finding"]:
            findings.append((last["seed"], last["finding"]))
        seed = last["seed"] + 1
        print(seed - first, dict(totals), f"{len(findings)} findings", flush=True)
        if control or len(findings) > 50:
            break
    return totals, findings


if __name__ == "__main__":
    kind, folder, first, count, *control = sys.argv[1:]
    work(kind, Path(folder), int(first), int(count), (control or [None])[0])
