"""The contraction as C++ kernels for CPUs, through XLA's custom calls."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import numpy as np

from lammps_mace.kernels import native
from lammps_mace.kernels.contraction import ContractionOperands, ContractionProgram, Node


def forward(program: ContractionProgram, messages: ContractionOperands) -> jax.Array:
    """See :func:`lammps_mace.kernels.contraction.contract`."""
    block = messages.blocks[0]
    shape = (len(block), len(program.components), block.shape[2])
    call = jax.ffi.ffi_call(
        native.target("contraction_forward"), jax.ShapeDtypeStruct(shape, block.dtype)
    )
    return call(*_arrays(messages), **_attributes(program))


def backward(
    program: ContractionProgram, messages: ContractionOperands, adjoint: jax.Array
) -> tuple[jax.Array, ...]:
    """See :func:`lammps_mace.kernels.contraction.contract_backward`."""
    call = jax.ffi.ffi_call(
        native.target("contraction_backward"),
        [jax.ShapeDtypeStruct(block.shape, block.dtype) for block in messages.blocks],
    )
    return tuple(call(*_arrays(messages), adjoint, **_attributes(program)))


def _arrays(messages: ContractionOperands) -> tuple[jax.Array, ...]:
    """Return the operands in the order of the kernels."""
    filled = messages.species.reshape(1), messages.n_atoms.reshape(1)
    return (messages.weights, *filled, *messages.blocks)


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
