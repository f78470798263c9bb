"""The radial functions of a chunk's pairs, evaluated themselves, and what makes weights of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.engine.chunk import Chunk
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.kernels import (
    BesselBasis,
    EdgeFunctions,
    EdgeProgram,
    RadialInputs,
    pack_layers,
    pack_map,
    radial_network,
    twins,
)
from lammps_mace.models.blocks.norms import safe_norm
from lammps_mace.models.description import BesselInputs, RadialNetwork, RadialWeights

# Of the functions of all pairs, of a layer. Half of it at most is ever touched: there is room for
# more pairs, and those of two atoms share one row.
_MOST_BYTES = 2**30


class PairFunctions(NamedTuple):
    """The radial functions of all pairs of a rank.

    Attributes:
        values: [rows, 2, n_functions], the functions and their slopes, 1/Å.
        rows: int32 [pair rows], of the functions of each pair.
    """

    values: jax.Array
    rows: jax.Array


class _Pairs(NamedTuple):
    """The pairs of a chunk, and rows that follow them.

    Attributes:
        vectors: [n, 3], Å.
        cutoff: Å.
        mask: bool [n], False for the rows that follow.
        senders, receivers: their species, int32 [n].
        n_pairs: int32 scalar, how many rows are pairs.
    """

    vectors: jax.Array
    cutoff: float
    mask: jax.Array
    senders: jax.Array
    receivers: jax.Array
    n_pairs: jax.Array

    @classmethod
    def of(cls, arrays: StepArrays, chunk: Chunk, cutoff: float) -> _Pairs:
        """Return the pairs of a chunk."""
        senders = chunk.pairs(arrays.sender_species)
        return cls(
            chunk.pairs(arrays.vectors), cutoff, chunk.pair_mask(), senders,
            jnp.broadcast_to(chunk.species, senders.shape), chunk.ends[-1] - chunk.first_pair,
        )  # fmt: skip

    def evaluate(self, function: Callable[..., Any], slopes: bool) -> Any:
        """Return arrays [n, 1 or 2, ...] of a function of distances and species; None stays."""
        distances = safe_norm(self.vectors)
        # Where there is no pair, any harmless distance: nobody reads what it gives.
        distances = jnp.where(self.mask & (distances > 0.0), distances, 0.5 * self.cutoff)

        def of_distances(r: jax.Array) -> Any:
            return function(r, self.senders, self.receivers)

        if not slopes:
            return jax.tree.map(lambda x: x[:, None], of_distances(distances))
        both = jax.jvp(of_distances, (distances,), (jnp.ones_like(distances),))
        return jax.tree.map(lambda *x: jnp.stack(x, axis=1), *both)


def function_weights(radial: RadialWeights, folded: bool = False) -> dict[str, Any]:
    """Return the weights of :func:`edge_functions`.

    Args:
        folded: the last map is done after the sums, see lowering.low_rank_basis.
    """
    network, factor, scale = radial.network, radial.factor, 1.0
    weights: dict[str, Any] = {"parameters": radial.parameters}
    if network is not None:
        scale, weights["layers"] = network.scale, pack_layers(network.matrices)
        if isinstance(network.inputs, BesselInputs):
            weights["roots"] = network.inputs.roots
    weights["matrix"] = None if folded else pack_map(scale * radial.matrix)
    weights["factors"] = None if factor is None else factor.reshape(-1, factor.shape[2])
    return weights


def edge_functions(
    radial: RadialWeights, program: EdgeProgram, weights: Any, arrays: StepArrays, chunk: Chunk,
    slopes: bool, backend: str, of_pairs: PairFunctions | None = None,
) -> EdgeFunctions:  # fmt: skip
    """Return the radial functions of a chunk's pairs.

    Args:
        weights: of :func:`function_weights`.
        slopes: of the functions are wanted, too.
        of_pairs: the functions of all pairs; None: they are evaluated.
    """
    pairs = _Pairs.of(arrays, chunk, program.cutoff)
    function_rows = None
    if of_pairs is not None:
        values, function_rows = of_pairs
    elif radial.network is None:
        values = pairs.evaluate(partial(radial.functions, weights["parameters"]), slopes)
    else:
        inputs, factor = _inputs(radial.network, weights, pairs, slopes)
        shape = 1 + slopes, len(radial.matrix)
        values = radial_network(inputs, weights["layers"], shape, pairs.n_pairs, backend=backend)
        values = values if factor is None else _product(values, factor)
    factors, rows = weights["factors"], None
    if radial.factor is not None:
        rows = pairs.senders * np.int32(len(radial.factor)) + pairs.receivers
    return EdgeFunctions(values, weights["matrix"], factors, rows, function_rows)


def pair_functions(
    radial: RadialWeights, program: EdgeProgram, weights: Any, arrays: StepArrays, backend: str
) -> PairFunctions | None:
    """Return the radial functions of all pairs, with slopes; each pair of atoms has them once.

    None where they depend on more than the distance, would take too much memory, or where the
    kernels do not share them.

    Args:
        weights: of :func:`function_weights`.
    """
    network = radial.network
    if backend != "cpu" or network is None or not isinstance(network.inputs, BesselInputs):
        return None
    shape, dtype = (2, len(radial.matrix)), arrays.vectors.dtype
    if len(arrays.vectors) * 2 * len(radial.matrix) * dtype.itemsize > _MOST_BYTES:
        return None
    found = twins(arrays.vectors, arrays.senders, arrays.bounds, program.cutoff)
    inputs = _bessel_inputs(network.inputs, weights, found.vectors)
    values = radial_network(inputs, weights["layers"], shape, found.n_kept, backend=backend)
    return PairFunctions(values, found.rows)


def _inputs(
    network: RadialNetwork, weights: Any, pairs: _Pairs, slopes: bool
) -> tuple[RadialInputs | jax.Array, jax.Array | None]:
    """Return the inputs of a network, and what multiplies its results [n, 1 or 2, 1] or None."""
    if not isinstance(network.inputs, BesselInputs):
        found: tuple[jax.Array, jax.Array | None] = pairs.evaluate(
            partial(network.inputs, weights["parameters"]), slopes
        )
        return found
    return _bessel_inputs(network.inputs, weights, pairs.vectors), None


def _bessel_inputs(inputs: BesselInputs, weights: Any, vectors: jax.Array) -> RadialInputs:
    _, cutoff, power, factor = inputs
    return RadialInputs(vectors, weights["roots"], BesselBasis(cutoff, factor, power))


def _product(values: jax.Array, factor: jax.Array) -> jax.Array:
    """Return the product of functions, each with slopes if there are any, [n, 1 or 2, k]."""
    product = values[:, :1] * factor[:, :1]
    if values.shape[1] == 1:
        return product
    slope = values[:, 1:] * factor[:, :1] + values[:, :1] * factor[:, 1:]
    return jnp.concatenate([product, slope], axis=1)
