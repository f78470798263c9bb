"""The folders of examples/ in tests: their modules under their own names, and a short training."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import quick_xla

from lammps_mace import load_model
from lammps_mace.modelfile import Model

EXAMPLES = Path(__file__).parents[2] / "examples"
MODULES = ("data", "batches", "train")
ENVIRONMENT = {**os.environ, "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}


@contextmanager
def imported(folder: Path) -> Iterator[dict[str, ModuleType]]:
    """Import an example's modules under their own names, and forget them at the end."""
    sys.path.insert(0, str(folder))
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(folder))
        for name in MODULES:
            sys.modules.pop(name, None)


def short_training(folder: Path, tmp_path: Path) -> tuple[list[float], Model]:
    """Run an example's train.py; return the loss of each of its two epochs, and its model."""
    out = tmp_path / "tiny.model"
    command = [sys.executable, folder / "train.py", "--epochs", "2", "--count", "1", "--out", out]
    command += ["--equilibration", "100"]
    text = subprocess.run(
        command,
        env={**ENVIRONMENT, "XLA_FLAGS": quick_xla.FLAGS},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [float(loss) for loss in re.findall(r"epoch.*?loss (\S+)", text)], load_model(out)
