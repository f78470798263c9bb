"""`lammps-mace committee`: several model files become one, for a committee in LAMMPS."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("models", nargs="+", metavar="A.model", help="two or more model files")
    parser.add_argument(
        "-o", "--output", metavar="X.model", required=True,
        help="the model file to write; the sidecars of all models go beside it",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Write the committee and say what it is."""
    from lammps_mace.modelfile import load_models, write_committee
    from lammps_mace.models import families

    models = [model for path in options.models for model in load_models(path)]
    written = write_committee(options.output, models)
    elements = " ".join(families.facts(models[0]).known_elements)
    files = ", ".join(Path(path).name for path in options.models)
    print(
        f"{written}: {len(models)} models ({files}) of {elements}\n"
        f"pair_style mliap unified {written.name} 0 deviation devi.out every 10"
    )
    return 0
