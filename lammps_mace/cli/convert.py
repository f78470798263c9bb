"""`lammps-mace convert`: a checkpoint of mlip becomes a model file."""

from __future__ import annotations

import argparse

from lammps_mace.cli.progress import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("checkpoint", help="zip written by mlip 0.1 or 0.2")
    parser.add_argument(
        "-o", "--output", metavar="X.model", required=True,
        help="the model file to write, with X.json and X.safetensors beside it",
    )  # fmt: skip
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="default: float32"
    )
    parser.add_argument("--head", metavar="NAME_OR_INDEX", help="readout head; default: the first")
    parser.add_argument("--total-charge", type=int, metavar="Q", help="of the system, in e")
    parser.add_argument(
        "--write-charges", action="store_true", help="LAMMPS's atoms get the predicted charges"
    )
    parser.add_argument(
        "--exact-radial", action="store_true",
        help="evaluate the radial network itself instead of splines fitted to it (slower)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Convert and say what was done."""
    from lammps_mace.convert import convert

    with progress(f"converting {options.checkpoint}"):
        lines = convert(
            options.checkpoint,
            options.output,
            dtype=options.dtype,
            head=options.head,
            total_charge=options.total_charge,
            write_charges=options.write_charges,
            exact_radial=options.exact_radial,
        )
    print("\n".join(lines))
    return 0
