"""What the readers of both formats return, and the checks that they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from lammps_mace.convert.archive import ConvertError
from lammps_mace.modelfile import DELIMITER
from lammps_mace.models.mlip.config import MaceConfig, StrictModel
from lammps_mace.models.mlip.dataset import DatasetInfo

Strict = TypeVar("Strict", bound=StrictModel)
_SHOWN = 3  # names in one message


@dataclass(frozen=True)
class Checkpoint:
    """A model as it was trained.

    Attributes:
        config, dataset_info: the network.
        params: name, levels joined by '#' -> array, as :class:`lammps_mace.Mace` names them.
        written_by: library and version.
        notes: what was changed on the way, for the user.
    """

    config: MaceConfig
    dataset_info: DatasetInfo
    params: dict[str, np.ndarray]
    written_by: str
    notes: tuple[str, ...] = ()


# Keys that no MACE has. Two of them make an architecture.
_ARCHITECTURES = {
    "ViSNet": {"num_heads", "trainable_rbf", "attn_activation", "vecnorm_type", "radial_basis"},
    "NequIP": {
        "target_irreps", "node_irreps", "radial_mlp_variance_scale", "radial_net_n_hidden",
        "radial_net_nonlinearity", "radial_net_n_layers", "scalar_mlp_std",
        "use_residual_connection", "gate_nonlinearities",
    },
    "eSEN": {
        "sphere_channels", "hidden_channels", "edge_channels", "m_max", "basis_width_scalar",
        "cosine_cutoff", "norm_type", "act_type", "moe", "use_quaternion",
    },
}  # fmt: skip


def refuse_other_architectures(config: Mapping[str, Any]) -> None:
    """Raise :class:`ConvertError` when the configuration is not that of a MACE."""
    found = {name: len(keys & config.keys()) for name, keys in _ARCHITECTURES.items()}
    name = max(found, key=lambda one: found[one])
    if found[name] >= 2:
        raise ConvertError(f"this is a {name} model; lammps-mace runs MACE models only")


def parse(model: type[Strict], data: Mapping[str, Any], section: str) -> Strict:
    """Build ``model``; a :class:`ConvertError` names the section and the field that is wrong."""
    try:
        return model(**data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([section, *(str(part) for part in first["loc"])])
        raise ConvertError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


def expected_shapes(config: MaceConfig, info: DatasetInfo) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter of the network, without computing anything."""
    import jax
    import jax.numpy as jnp

    from lammps_mace.graph import Edges, Globals, Graph, LongRange, Nodes
    from lammps_mace.models.mlip.mace import Mace

    index = jnp.zeros(1, jnp.int32)
    edges = Edges(vectors=jnp.ones((1, 3)))
    graph = Graph(
        Nodes(index), edges, index, index, n_node=jnp.ones(1, jnp.int32),
        globals=Globals(charge=jnp.zeros(1)), long_range=LongRange(edges, index, index),
    )  # fmt: skip
    tree = jax.eval_shape(Mace(config, info).init, jax.random.key(0), graph)["params"]
    return {name: tuple(leaf.shape) for name, leaf in _leaves(tree).items()}


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in tree.items():
        out.update(
            _leaves(value, f"{prefix}{key}{DELIMITER}")
            if isinstance(value, Mapping)
            else {prefix + key: value}
        )
    return out


def checked_params(
    params: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Return the parameters in the order of the network.

    Raises:
        ConvertError: one is missing, not used, of another shape, or not finite.
    """
    # Irreps that nothing reaches have weights without elements: those may be missing.
    missing = [name for name, shape in expected.items() if name not in params and 0 not in shape]
    unused = [name for name in params if name not in expected]
    if missing or unused:
        parts = [f"missing: {_some(missing)}"] if missing else []
        parts += [f"not used by this network: {_some(unused)}"] if unused else []
        raise ConvertError("the parameters do not fit the configuration; " + "; ".join(parts))
    return {name: _checked(name, params, shape) for name, shape in expected.items()}


def _checked(name: str, params: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    if 0 in shape and (name not in params or params[name].size == 0):
        return np.zeros(shape, np.float32)
    array = params[name]
    if array.shape != shape:
        raise ConvertError(
            f"parameter {name!r} has shape {array.shape}; the configuration asks for {shape}"
        )
    if not np.isfinite(array).all():
        raise ConvertError(f"parameter {name!r} has values that are not finite (NaN or infinite)")
    return array


def _some(names: list[str]) -> str:
    text = ", ".join(repr(name) for name in names[:_SHOWN])
    return text + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
