"""The edge operations as C++ kernels for CPUs, through XLA's custom calls."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.kernels import native
from lammps_mace.kernels.edges import (
    EdgeOperands,
    EdgePath,
    EdgeProgram,
    Radial,
    Spline,
)
from lammps_mace.kernels.edges import xla as edges_xla

_MAX_DEGREE, _MAX_SOURCE = 4, 3  # as in cython/kernels/tasks.h


def supported(program: EdgeProgram) -> bool:
    """Return whether there are kernels for these degrees; plain XLA does the others."""
    degrees = [*program.target_degrees, *(path.degree for path in program.paths)]
    return (
        bool(program.paths)
        and max(degrees) <= _MAX_DEGREE
        and max(program.source_degrees) <= _MAX_SOURCE
    )


def forward(program: EdgeProgram, edges: EdgeOperands) -> tuple[jax.Array, ...]:
    """See :func:`lammps_mace.kernels.edges.edges_forward`."""
    if not supported(program):
        return edges_xla.forward(program, edges)
    shapes = program.result_shapes(len(edges.starts))
    call = jax.ffi.ffi_call(
        native.target("edges_forward"),
        [jax.ShapeDtypeStruct(shape, edges.vectors.dtype) for shape in shapes],
    )
    return tuple(call(*_arrays(edges), **_attributes(program)))


def backward(
    program: EdgeProgram,
    edges: EdgeOperands,
    adjoints: tuple[jax.Array, ...],
    gradient: jax.Array,
    sent_adjoint: jax.Array | None,
) -> tuple[jax.Array, jax.Array | None]:
    """See :func:`lammps_mace.kernels.edges.edges_backward`."""
    if not supported(program):
        return edges_xla.backward(program, edges, adjoints, gradient, sent_adjoint)
    updated = [gradient] if sent_adjoint is None else [gradient, sent_adjoint]
    operands = (*_arrays(edges), *adjoints)
    results = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in updated]
    call = jax.ffi.ffi_call(
        native.target("edges_backward"),
        results,
        input_output_aliases={len(operands) + i: i for i in range(len(updated))},
    )
    found = call(
        *operands, *updated, **_attributes(program), to_senders=np.bool_(sent_adjoint is not None)
    )
    return found[0], None if sent_adjoint is None else found[1]


def _arrays(edges: EdgeOperands) -> tuple[jax.Array, ...]:
    """Return the operands in the order of the kernels."""
    return (
        *_radial(edges.radial), edges.vectors, edges.starts, edges.ends, edges.senders, edges.sent,
    )  # fmt: skip


def _radial(radial: Radial) -> tuple[jax.Array, ...]:
    """Return table or functions, rows of each edge, those of functions, the map, the factors."""
    others: list[jax.Array | None] = [None, None]
    if isinstance(radial, Spline):
        first, rows, function_rows = radial.table, radial.first_rows, None
    else:
        first, rows, function_rows = radial.values, radial.factor_rows, radial.rows
        others = [radial.matrix, radial.factors]
    # Empty instead of what is not there.
    places = (jnp.zeros(0, jnp.int32) if row is None else row for row in (rows, function_rows))
    return first, *places, *(jnp.zeros(0, first.dtype) if x is None else x for x in others)


@lru_cache(maxsize=64)
def _attributes(program: EdgeProgram) -> dict[str, Any]:
    """Return the program as the kernels read it, see cython/kernels/tasks.h."""
    paths, first, harmonics, values = [], [0], [], []
    for index, path in enumerate(program.paths):
        scalar = _is_scalar(path)
        paths.append(_words(program, index, len(first) - 1, scalar))
        for row in _matrix_rows(path)[: 1 if scalar else None]:
            used = np.flatnonzero(row)
            harmonics.append(path.degree**2 + used)
            values.append(row[used])
            first.append(first[-1] + len(used))
    return {
        "paths": np.array(paths, np.int32).ravel(),
        "result_paths": np.array([len(paths) for paths in program.paths_to], np.int32),
        "coupling_first": np.array(first, np.int32),
        "coupling_harmonics": np.concatenate(harmonics).astype(np.int32),
        "coupling_values": np.concatenate(values),
        "cutoff": np.float64(program.cutoff),
        "knot_scale": np.float64(program.knot_scale),
        "n_splines": np.int32(program.n_splines),
        "kinds": np.int32(program.kinds),
    }


def _words(program: EdgeProgram, index: int, matrix: int, scalar: bool) -> list[int]:
    path = program.paths[index]
    return [
        program.source_degrees[path.source],
        program.source_rows[path.source],
        path.degree,
        program.target_degrees[path.target],
        path.target,
        program.paths_to[path.target].index(index),
        matrix,
        int(scalar),
    ]


def _matrix_rows(path: EdgePath) -> np.ndarray:
    # Coefficients of the harmonics in each element [target, source] of an edge's matrix.
    coefficients = np.asarray(path.coefficients, np.float64)
    kept = np.where(np.abs(coefficients) > 1e-12, coefficients, 0.0)
    return kept.transpose(2, 0, 1).reshape(-1, coefficients.shape[1])


def _is_scalar(path: EdgePath) -> bool:
    # A product with Y_00 = 1 that is a multiple of the unit matrix.
    if path.degree or path.coefficients.shape[0] != path.coefficients.shape[2]:
        return False
    matrix = path.coefficients[:, 0, :]
    return np.allclose(matrix, matrix[0, 0] * np.eye(len(matrix)), rtol=0.0, atol=1e-12)
