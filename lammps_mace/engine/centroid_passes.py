"""Backward passes that also carry the first moments of dU_i/d features, for the centroid virial.

With the energy U_i of atom i at r_i, the adjoint of a feature h is a = sum_i dU_i/dh. The three
moments sum_i r_i dU_i/dh obey the same linear equations: only the adjoints of the energies, 1, are
r_i instead. Between the passes moments are about the atom k to which h belongs,
b = sum_i (r_i - r_k) dU_i/dh_k, which is the same for all images of the atom.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lammps_mace.engine.capacity import Capacity
from lammps_mace.engine.chunk import chunk_at
from lammps_mace.engine.layer import Gradients, Layer, NodeFeatures, Results, Saved
from lammps_mace.engine.passes import added, output_adjoint
from lammps_mace.engine.step_arrays import StepArrays

AXES = 3


class Moments(NamedTuple):
    """Adjoints and their moments: lists of one and then three, x, y, z.

    Attributes:
        features: of what a layer read, moments about each atom; None in the first layer.
        vectors: [pair rows, 3] each, of all layers so far, moments about the origin.
    """

    features: list[NodeFeatures] | None
    vectors: list[jax.Array]


def backward(
    layer: Layer, scale: float, weights: Any, arrays: StepArrays, positions: jax.Array,
    features: NodeFeatures | None, saved: Saved, above: list[NodeFeatures] | None,
    vectors: list[jax.Array] | None, outputs: jax.Array | None, *, capacity: Capacity,
) -> tuple[jax.Array | None, Moments]:  # fmt: skip
    """Return what follows from the energies of a layer and from ``above``, and the outputs so far.

    Args:
        positions: [rows, 3], Å.
        above: of the features that the layer makes; None after the last layer.
        vectors: of the layers behind this one; None: there is none.
        outputs: of the layers before; None where this layer's are among them.
    """
    if vectors is None:
        vectors = [jnp.zeros_like(arrays.vectors) for _ in range(1 + AXES)]
    if above is not None:
        above = _about(above, positions, 1)

    def body(k: jax.Array, carry: Any) -> Any:
        outputs, gradients = carry
        chunk = chunk_at(arrays, k, capacity.chunk_atoms, capacity.chunk_pairs)
        results, vjp = layer.vjp(weights, arrays, chunk, features, saved)
        energies = output_adjoint(results.outputs, chunk, scale, None)
        places, made = chunk.atoms(positions), []
        for m, gradient in enumerate(gradients):
            chunk = chunk.later()  # the adjoints of one moment after those of another
            skip, sent = (None, None) if above is None else map(chunk.atoms, above[m])
            share = energies if m == 0 else energies * places[:, m - 1 : m]
            made.append(vjp(Results(skip, sent, share), gradient))
        return None if outputs is None else added(outputs, chunk, results.outputs), made

    zeros = [jax.tree.map(jnp.zeros_like, features) for _ in vectors]
    start = outputs, [Gradients(*both) for both in zip(vectors, zeros, strict=True)]
    outputs, gradients = jax.lax.fori_loop(0, arrays.n_chunks, body, start)
    made = None if features is None else _about([g.features for g in gradients], positions, -1)
    return outputs, Moments(made, [g.vectors for g in gradients])


def _about(moments: list[NodeFeatures], positions: jax.Array, sign: int) -> list[NodeFeatures]:
    """Return moments about the origin of those about each atom, or the reverse (sign -1)."""
    adjoint, *firsts = moments

    def shifted(axis: int, moment: jax.Array, values: jax.Array) -> jax.Array:
        return moment + sign * positions[: len(values), axis, None, None] * values

    return [adjoint] + [
        NodeFeatures(*(shifted(axis, *pair) for pair in zip(moment, adjoint, strict=True)))
        for axis, moment in enumerate(firsts)
    ]
