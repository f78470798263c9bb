"""`lammps-mace convert`: a checkpoint of mlip or mace-torch becomes a model file."""

from __future__ import annotations

import argparse

from lammps_mace.cli.progress import progress

WARNING = "note: torch unpickles {path!r}, which executes whatever the file says"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("checkpoint", help="zip of mlip 0.1 or 0.2, or a .model of mace-torch")
    parser.add_argument(
        "-o", "--output", metavar="X.model", required=True,
        help="the model file to write, with X.json and X.safetensors beside it",
    )  # fmt: skip
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="default: float32"
    )
    parser.add_argument(
        "--head", metavar="NAME_OR_INDEX", help="readout head; default: the only or the first one"
    )
    parser.add_argument("--total-charge", type=int, metavar="Q", help="of the system, in e")
    parser.add_argument(
        "--total-spin", type=int, metavar="S", help="of the system, for models that read it"
    )
    parser.add_argument(
        "--elements", nargs="+", metavar="SYMBOL", help="the only elements of the model file"
    )
    parser.add_argument(
        "--write-charges", action="store_true", help="LAMMPS's atoms get the predicted charges"
    )
    parser.add_argument(
        "--exact-radial", action="store_true",
        help="evaluate the radial network itself instead of splines fitted to it (slower)",
    )  # fmt: skip
    parser.add_argument(
        "--committee", action="store_true",
        help="the checkpoint is a list of models of mace-torch: make one committee of them",
    )  # fmt: skip
    parser.add_argument(
        "--verify", action="store_true",
        help="compare with the model of mace-torch itself, run by torch: that unpickles the file, "
        "which executes what it says (needs lammps-mace[torch])",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Convert and say what was done."""
    from lammps_mace.convert import Options, convert, convert_committee

    if options.verify:
        print(WARNING.format(path=options.checkpoint), flush=True)
    if options.committee:
        chosen = Options(
            options.dtype, options.head, options.total_charge, options.total_spin,
            options.write_charges, options.exact_radial,
        )  # fmt: skip
        with progress(f"converting {options.checkpoint}"):
            lines = convert_committee(
                options.checkpoint, options.output, chosen, options.elements, options.verify
            )
        print("\n".join(lines))
        return 0
    with progress(f"converting {options.checkpoint}"):
        lines = convert(
            options.checkpoint,
            options.output,
            dtype=options.dtype,
            head=options.head,
            total_charge=options.total_charge,
            total_spin=options.total_spin,
            elements=options.elements,
            write_charges=options.write_charges,
            exact_radial=options.exact_radial,
            verify=options.verify,
        )
    print("\n".join(lines))
    return 0
