"""`lammps-mace info`: what a model file holds."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from lammps_mace.cli.progress import progress
from lammps_mace.engine.capacity import CPU_CHUNKS
from lammps_mace.modelfile import Model, load_models
from lammps_mace.models import families

_WIDTH = 22  # of the names of properties


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", help="the model file, X.model, with its .json and .safetensors")


def run(options: argparse.Namespace) -> int:
    """Print the model's properties."""
    path = Path(options.model)
    models = load_models(path)
    if len(models) > 1:
        print(f"{path}: a committee of {len(models)} models, see pair_style's `deviation`")
    for number, model in enumerate(models):
        if len(models) > 1:
            print(f"\nmodel {number}")
        _print(model, path)
    return 0


def _print(model: Model, path: Path) -> None:
    with progress("looking how the model will be evaluated"):
        properties = describe(model, path)
    for name, value in properties.items():
        print(f"{name:<{_WIDTH}} {value}")
    print("config")
    for field, text in _config(model):
        print(f"  {field:<32} {text}")


def _config(model: Model) -> Iterator[tuple[str, str]]:
    """Yield the fields of the configuration as text; lists of settings item by item."""
    try:
        defaults = type(model.config)().model_dump(mode="json")
    except ValidationError:  # the family has none
        defaults = None
    for field, value in model.config.model_dump(mode="json").items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield from ((f"{field}.{i}", str(item)) for i, item in enumerate(value))
            continue
        changed = defaults is not None and value != defaults[field]
        yield field, f"{value}  (not the default)" if changed else str(value)


def describe(model: Model, path: Path) -> dict[str, str]:
    """Return the properties of a model as text, in the order of printing."""
    facts = families.facts(model)
    return {
        "model": str(path),
        "elements": " ".join(facts.known_elements),
        "cutoff": f"{facts.cutoff_angstrom:g} Å, {facts.n_layers} layers: an atom feels "
        f"others up to {facts.n_layers * facts.cutoff_angstrom:g} Å away",
        "precision": model.dtype,
        "head": _head(model),
        "total charge": "none" if model.total_charge is None else f"{model.total_charge:+d} e",
        **({} if model.total_spin is None else {"total spin": str(model.total_spin)}),
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
    elements = " ".join(families.facts(model).known_elements)
    name = f'"{path}"' if " " in str(path) else str(path)
    lines = ["atom_style charge"] if model.write_charges else []
    lines += [f"pair_style mliap unified {name}", f"pair_coeff * * {elements}"]
    lines[-1] += "   # the element of each atom type, in the order of the types"
    return f"\n{'':<{_WIDTH}} ".join(["units metal   # or real", *lines])


def _head(model: Model) -> str:
    heads = families.facts(model).heads
    name = f" ({heads[model.head]})" if heads[model.head] else ""
    return f"{model.head} of {len(heads)}{name}"


def _charges(model: Model) -> str:
    charges = families.partial_charges(model)
    if charges is None:
        return "none"
    cutoff = charges.coulomb_cutoff
    coulomb = "no Coulomb sum" if cutoff is None else f"Coulomb sum up to {cutoff:g} Å"
    written = "" if charges.write else "not "
    return f"{coulomb}; {written}written to LAMMPS's atoms"


def _engine(model: Model) -> str:
    from lammps_mace.lowering.lower import describe as how

    layers, charges = families.facts(model).n_layers, families.partial_charges(model)
    if charges is not None and charges.coulomb_cutoff is not None:
        order = f"{layers} layers forward, then backward"
    else:
        order = f"{layers - 1} inner layers forward and backward, the last one at once"
    return f"{how(model)}; {order}, in chunks of up to {CPU_CHUNKS.most_atoms} atoms"


def _exchange(model: Model) -> str:
    exchanged = families.facts(model).exchanged
    if not exchanged:
        return "none: one layer needs no features of other ranks"
    widths = " and ".join(map(str, dict.fromkeys(exchanged)))
    return f"{len(exchanged)} per step and direction, {widths} {model.dtype} per ghost atom"
