"""`lammps-mace info`: what a model file holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from lammps_mace.cli.progress import progress
from lammps_mace.engine.capacity import CPU_CHUNKS
from lammps_mace.modelfile import Model, load_model

_WIDTH = 22  # of the names of properties


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", help="the model file, X.model, with its .json and .safetensors")


def run(options: argparse.Namespace) -> int:
    """Print the model's properties."""
    path = Path(options.model)
    model = load_model(path)
    with progress("looking how the model will be evaluated"):
        properties = describe(model, path)
    for name, value in properties.items():
        print(f"{name:<{_WIDTH}} {value}")
    print("config")
    defaults = type(model.config)()
    for field, value in model.config.model_dump(mode="json").items():
        changed = "" if value == defaults.model_dump(mode="json")[field] else "  (not the default)"
        print(f"  {field:<32} {value}{changed}")
    return 0


def describe(model: Model, path: Path) -> dict[str, str]:
    """Return the properties of a model as text, in the order of printing."""
    info, config = model.dataset_info, model.config
    return {
        "model": str(path),
        "elements": " ".join(info.known_elements(model.head)),
        "cutoff": f"{info.graph_cutoff_angstrom:g} Å, {config.num_layers} layers: an atom feels "
        f"others up to {config.num_layers * info.graph_cutoff_angstrom:g} Å away",
        "precision": model.dtype,
        "head": _head(model),
        "total charge": "none" if model.total_charge is None else f"{model.total_charge:+d} e",
        "predicted charges": _charges(model),
        "in a LAMMPS input": _lines(model, path),
        "parameters": f"{model.n_parameters:,}",
        "exchange": _exchange(model),
        "evaluation": _engine(model),
        "weights SHA-256": model.weights_sha256,
        "origin": model.origin or "unknown",
    }


def _lines(model: Model, path: Path) -> str:
    """Return what a user copies; with as many atom types as the model has elements."""
    elements = " ".join(model.dataset_info.known_elements(model.head))
    name = f'"{path}"' if " " in str(path) else str(path)
    lines = ["atom_style charge"] if model.write_charges else []
    lines += [f"pair_style mliap unified {name}", f"pair_coeff * * {elements}"]
    lines[-1] += "   # the element of each atom type, in the order of the types"
    return f"\n{'':<{_WIDTH}} ".join(["units metal   # or real", *lines])


def _head(model: Model) -> str:
    names = model.dataset_info.dataset_name
    name = f" ({names[model.head]})" if isinstance(names, tuple) else ""
    return f"{model.head} of {model.config.num_readout_heads}{name}"


def _charges(model: Model) -> str:
    if not model.config.predict_partial_charges:
        return "none"
    cutoff = model.dataset_info.long_range_cutoff_angstrom
    coulomb = (
        f"Coulomb sum up to {cutoff:g} Å" if model.config.use_coulomb_term else "no Coulomb sum"
    )
    written = "" if model.write_charges else "not "
    return f"{coulomb}; {written}written to LAMMPS's atoms"


def _engine(model: Model) -> str:
    from lammps_mace.lowering.lower import describe as how

    layers = model.config.num_layers
    if model.config.use_coulomb_term:
        order = f"{layers} layers forward, then backward"
    else:
        order = f"{layers - 1} inner layers forward and backward, the last one at once"
    return f"{how(model)}; {order}, in chunks of up to {CPU_CHUNKS.most_atoms} atoms"


def _exchange(model: Model) -> str:
    config = model.config
    width = config.num_channels * (config.node_symmetry + 1) ** 2
    if config.num_layers == 1:
        return "none: one layer needs no features of other ranks"
    return f"{config.num_layers - 1} per step and direction, {width} {model.dtype} per ghost atom"
