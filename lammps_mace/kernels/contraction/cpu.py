"""The contraction as C++ kernels for CPUs, through XLA's custom calls."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import numpy as np

from lammps_mace.kernels import native
from lammps_mace.kernels.contraction import ContractionProgram, Node


def forward(
    program: ContractionProgram,
    blocks: tuple[jax.Array, ...],
    weights: jax.Array,
    species: jax.Array,
    n_atoms: jax.Array,
) -> jax.Array:
    """See :func:`lammps_mace.kernels.contraction.contract`."""
    shape = (len(blocks[0]), len(program.components), blocks[0].shape[2])
    call = jax.ffi.ffi_call(
        native.target("contraction_forward"), jax.ShapeDtypeStruct(shape, blocks[0].dtype)
    )
    filled = species.reshape(1), n_atoms.reshape(1)
    return call(weights, *filled, *blocks, **_attributes(program))


def backward(
    program: ContractionProgram,
    blocks: tuple[jax.Array, ...],
    weights: jax.Array,
    species: jax.Array,
    adjoint: jax.Array,
    n_atoms: jax.Array,
) -> tuple[jax.Array, ...]:
    """See :func:`lammps_mace.kernels.contraction.contract_backward`."""
    call = jax.ffi.ffi_call(
        native.target("contraction_backward"),
        [jax.ShapeDtypeStruct(block.shape, block.dtype) for block in blocks],
    )
    filled = species.reshape(1), n_atoms.reshape(1)
    return tuple(call(weights, *filled, *blocks, adjoint, **_attributes(program)))


@lru_cache(maxsize=64)
def _attributes(program: ContractionProgram) -> dict[str, Any]:
    """Return the walk as the kernels read it, see cython/kernels/contraction.cpp."""
    code: list[int] = []
    order: list[int] = []
    for roots in program.trees:
        _write_group(roots, code, order)
    return {"code": np.array(code, np.int32), "order": np.array(order, np.int32)}


def _write_group(nodes: tuple[Node, ...], code: list[int], order: list[int]) -> None:
    leaves = [node for node in nodes if not node.children]
    inner = [node for node in nodes if node.children]
    code += [len(leaves), *(leaf.row for leaf in leaves), len(inner)]
    order += [leaf.weight for leaf in leaves if leaf.weight is not None]
    for node in inner:
        code += [node.row, int(node.weight is not None)]
        if node.weight is not None:
            order.append(node.weight)
        _write_group(node.children, code, order)
