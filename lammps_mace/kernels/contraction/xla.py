"""The contraction in plain XLA: nested sums of products of whole rows, gradient by hand.

A node x (w + children) of the tree costs one product and one sum; going down with the adjoint of
everything above it, and up with its value, gives the gradient of all rows in the same walk.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from lammps_mace.kernels.contraction import ContractionOperands, ContractionProgram, Node


def forward(program: ContractionProgram, messages: ContractionOperands) -> jax.Array:
    """See :func:`lammps_mace.kernels.contraction.contract`; all rows are computed."""
    x, w = _rows(messages.blocks), messages.weights[messages.species]
    sums = [_sum([_value(node, x, w) for node in roots]) for roots in program.trees]
    return jnp.stack([jnp.zeros_like(x[0]) if one is None else one for one in sums], axis=1)


def backward(
    program: ContractionProgram, messages: ContractionOperands, adjoint: jax.Array
) -> tuple[jax.Array, ...]:
    """See :func:`lammps_mace.kernels.contraction.contract_backward`; all rows are computed."""
    x, w = _rows(messages.blocks), messages.weights[messages.species]
    dx: list[jax.Array | None] = [None] * len(x)
    for component, roots in enumerate(program.trees):
        for node in roots:
            _descend(node, adjoint[:, component], x, w, dx)
    rows = [jnp.zeros_like(x[0]) if one is None else one for one in dx]
    ends = [sum(program.dims[: i + 1]) for i in range(len(program.dims))]
    return tuple(
        jnp.stack(rows[end - size : end], axis=1)
        for size, end in zip(program.dims, ends, strict=True)
    )


def _rows(blocks: tuple[jax.Array, ...]) -> list[jax.Array]:
    return [block[:, m] for block in blocks for m in range(block.shape[1])]


def _sum(terms: Sequence[jax.Array]) -> jax.Array | None:
    total = None
    for term in terms:
        total = term if total is None else total + term
    return total


def _value(node: Node, x: list[jax.Array], w: jax.Array) -> jax.Array:
    own = [] if node.weight is None else [w[node.weight]]
    inner = _sum(own + [_value(child, x, w) for child in node.children])
    assert inner is not None  # a node ends a monomial or has children
    return x[node.row] * inner


def _descend(
    node: Node, above: jax.Array, x: list[jax.Array], w: jax.Array, dx: list[jax.Array | None]
) -> jax.Array:
    # above: adjoint times the product of the factors above. Returns the node's value.
    terms = [] if node.weight is None else [w[node.weight]]
    if node.children:
        below = above * x[node.row]
        terms += [_descend(child, below, x, w, dx) for child in node.children]
    inner = _sum(terms)
    assert inner is not None
    share, total = above * inner, dx[node.row]
    dx[node.row] = share if total is None else total + share
    return x[node.row] * inner
