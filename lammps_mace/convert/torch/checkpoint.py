"""Reads the configuration and the arrays of a checkpoint of mace-torch from its records."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lammps_mace.convert.checkpoint import parse
from lammps_mace.convert.torch.accounting import Module
from lammps_mace.convert.torch.layers import KINDS, Arrays, Path, read_layer
from lammps_mace.convert.torch.maps import scalar_map, unbiased_dense
from lammps_mace.convert.torch.radial import read_radial, read_repulsion
from lammps_mace.convert.torch.readouts import read_readouts
from lammps_mace.convert.torch.records import Record, irreps
from lammps_mace.errors import ConvertError
from lammps_mace.models.torch.config import Basis, TorchMaceConfig
from lammps_mace.models.torch.shapes import layer_paths, parameter_shapes

_CLASSES = "MACE", "ScaleShiftMACE"
_CHEBYSHEV = (
    "with a Chebyshev basis, forces of mace-torch are not the derivatives of its energy, because "
    "torch does not differentiate these functions; those of lammps-mace are"
)
_QUANTITIES = "total_charge", "total_spin"


class TorchCheckpoint(NamedTuple):
    """A model as it was trained.

    Attributes:
        config: the network.
        params: name, levels joined by '#' -> float64 array, as
            :func:`lammps_mace.models.torch.shapes.parameter_shapes` names them.
        dtype: of the weights in the file.
        notes: for the user.
    """

    config: TorchMaceConfig
    params: Arrays
    dtype: str
    notes: tuple[str, ...] = ()


def read_torch_checkpoint(record: Record, name: str) -> TorchCheckpoint:
    """Return the network that a file of mace-torch holds.

    Args:
        record: what :func:`lammps_mace.convert.torch.reader.read_records` found.
        name: of the file, for messages.

    Raises:
        ConvertError: it is no MACE, or has a part that lammps-mace does not know.
    """
    try:
        return _read(record)
    except ConvertError as error:
        raise ConvertError(f"{name!r}: {error}") from None
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError) as error:
        raise ConvertError(f"{name!r} is damaged, or no model of mace-torch: {error}") from None


def _read(record: Record) -> TorchCheckpoint:
    if record.kind not in _CLASSES:
        raise ConvertError(
            f"the model is a {record.class_name[:100]}; lammps-mace runs {' and '.join(_CLASSES)}"
        )
    model = Module(record)
    _refuse_options(model)
    settings, params = _model(model)
    layers, paths = _layers(model, params)
    readouts, found = read_readouts(model, len(layers), len(settings["heads"]))
    params |= found
    settings |= {"layers": layers, "readouts": readouts, "coupling_dtype": _made_in(params)}
    config = parse(TorchMaceConfig, settings, "model")
    _check(config, params, paths)
    model.check_all_taken()
    nodes = model.record.modules["node_embedding"].modules["linear"]
    weight = nodes.modules.get("base", nodes).parameters["weight"]
    notes = (_CHEBYSHEV,) if config.radial.basis is Basis.CHEBYSHEV else ()
    return TorchCheckpoint(config, params, str(weight.dtype), notes)


def _made_in(params: Arrays) -> str:
    """Return the precision in which a model was made: its couplings stay rounded to that."""
    couplings = [a for name, a in params.items() if name.rpartition("#")[2].startswith("U")]
    # A simple model's are short fractions, which all precisions hold: others tell then.
    if all((array * 2**12 % 1 == 0).all() for array in couplings):
        others = "atomic_energies", "radial#prefactor", "radial#roots", "radial#centers"
        couplings = [params[name] for name in others if name in params]
    rounded = all((array.astype(np.float32) == array).all() for array in couplings)
    return "float32" if rounded else "float64"


def _refuse_options(model: Module) -> None:
    if model.attribute("use_so3", bool, default=False):
        raise ConvertError(
            "use_so3: lammps-mace does not know models without parity; "
            "run it with the torch library"
        )
    for path in ("interactions", "products"):
        for key, part in model.record.modules[path].modules.items():
            cueq = part.attributes.get("cueq_config")
            if isinstance(cueq, Record) and cueq.get("enabled", True):
                raise ConvertError(
                    f"{path}.{key} is built for cuEquivariance; convert the model with "
                    "mace_cueq_to_e3nn first"
                )


def _model(model: Module) -> tuple[dict[str, Any], Arrays]:
    """Return the settings and arrays of a model without its layers and readouts."""
    numbers = model.array("atomic_numbers", -1)
    heads = model.record.attributes.get("heads") or ["Default"]
    heads = [str(head) for head in heads]
    nodes = scalar_map(model.module("node_embedding", "LinearNodeEmbeddingBlock"), "linear")
    energies = model.module("atomic_energies_fn", "AtomicEnergiesBlock").array("atomic_energies")
    params: Arrays = {
        "node_embedding": nodes,
        "atomic_energies": _per_head("atomic_energies", np.atleast_2d(energies), heads),
    }
    radial, found = read_radial(model, numbers.astype(int))
    params |= found
    settings: dict[str, Any] = {
        "atomic_numbers": [int(number) for number in numbers],
        "cutoff_angstrom": float(model.scalar("r_max")),
        "channels": nodes.shape[1],
        "max_degree": _highest_degree(model),
        "radial": radial,
        "heads": heads,
        "scale_shift": model.kind == "ScaleShiftMACE",
        "pair_repulsion": "pair_repulsion_fn" in model,
    }
    if settings["pair_repulsion"]:
        params |= read_repulsion(model, numbers.astype(int))
    if settings["scale_shift"]:
        block = model.module("scale_shift", "ScaleShiftBlock")
        for key in ("scale", "shift"):
            params[key] = _per_head(key, np.atleast_1d(block.array(key)), heads)
    _embeddings(model, settings, params)
    return settings, params


def _highest_degree(model: Module) -> int:
    """Return the highest degree of the spherical harmonics."""
    module = model.module("spherical_harmonics", "SphericalHarmonics")
    found = irreps(module.attribute("irreps_out", object))
    if [(1, degree, (-1) ** degree) for degree in range(len(found))] != list(found):
        raise ConvertError("spherical_harmonics are not those of each degree once")
    normalization = module.attribute("normalization", str, default="component")
    if normalization != "component" or not module.attribute("normalize", bool, default=True):
        raise ConvertError(
            f"spherical_harmonics have the normalization {normalization!r}, or read vectors of any "
            "length; lammps-mace knows 'component' of unit vectors"
        )
    return len(found) - 1


def _per_head(name: str, array: np.ndarray, heads: list[str]) -> np.ndarray:
    """Return an array with a row for each head; a single one is that of all."""
    if len(array) not in (1, len(heads)):
        raise ConvertError(f"{name} has {len(array)} rows for {len(heads)} heads")
    return np.broadcast_to(array, (len(heads), *array.shape[1:]))


def _embeddings(model: Module, settings: dict[str, Any], params: Arrays) -> None:
    """Add the embeddings of total charge and spin."""
    if "joint_embedding" not in model:
        return
    joint = model.module("joint_embedding", "GenericJointEmbedding")
    embedders = joint.module("embedders", "ModuleDict")
    found = []
    for quantity, spec in joint.attribute("specs", dict).items():
        kind, scope = spec.get("type"), spec.get("per")
        if quantity not in _QUANTITIES or kind != "categorical" or scope != "graph":
            raise ConvertError(
                f"the model embeds {quantity!r} ({kind}, per {scope}); lammps-mace knows "
                f"{' and '.join(_QUANTITIES)} of the system, as categories"
            )
        table = embedders.module(quantity, "Embedding").array("weight", -1, -1)
        params[f"joint_embedding#{quantity}"] = table
        classes, width = table.shape
        found.append(
            {"quantity": quantity, "classes": classes, "width": width,
             "offset": int(spec.get("offset", 0))}
        )  # fmt: skip
    project = joint.module("project", "Sequential")
    params["joint_embedding#project"] = unbiased_dense(project, "0").T
    project.module("1", "SiLU")
    settings["embeddings"] = found
    settings["embedding_readout"] = "embedding_readout" in model
    if settings["embedding_readout"]:
        readout = model.module("embedding_readout", "LinearReadoutBlock")
        params["embedding_readout"] = scalar_map(readout, "linear")


def _layers(model: Module, params: Arrays) -> tuple[list[dict[str, Any]], list[list[Path]]]:
    interactions = model.modules("interactions", *KINDS)
    products = model.modules("products", "EquivariantProductBasisBlock")
    if len(interactions) != len(products) or int(model.scalar("num_interactions")) != len(products):
        raise ConvertError(
            f"the model has {len(interactions)} interactions, {len(products)} products and "
            f"num_interactions={int(model.scalar('num_interactions'))}, which must be equal"
        )
    layers, paths = [], []
    for index, (interaction, product) in enumerate(zip(interactions, products, strict=True)):
        settings, arrays, found = read_layer(interaction, product)
        params.update((f"layers_{index}#{key}", array) for key, array in arrays.items())
        layers.append(settings)
        paths.append(found)
    return layers, paths


def _check(config: TorchMaceConfig, params: Arrays, paths: list[list[Path]]) -> None:
    """Check that the file's cutoffs, products and shapes are those of its configuration."""
    if params["radial#cutoff"] > config.cutoff_angstrom:
        raise ConvertError(
            f"radial_embedding.cutoff_fn.r_max is {params['radial#cutoff']:g} Å, beyond the "
            f"{config.cutoff_angstrom:g} Å of r_max: energies would jump there"
        )
    for index, (layer, found) in enumerate(zip(config.layers, paths, strict=True)):
        if layer_paths(config, layer) != found:
            raise ConvertError(
                f"interactions.{index}.conv_tp has other tensor products than a MACE"
            )
    shapes = parameter_shapes(config)
    for name in shapes.keys() ^ params.keys():
        what = "lacks" if name in shapes else "has, unlike a MACE,"
        raise ConvertError(f"the model {what} {name.replace('#', '.')!r}")
    for name, shape in shapes.items():
        if params[name].shape != shape:
            raise ConvertError(
                f"{name.replace('#', '.')} has shape {params[name].shape}; the model needs {shape}"
            )
