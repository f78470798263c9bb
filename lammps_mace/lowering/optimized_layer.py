"""OptimizedLayer: a layer as edge operation, matrix products, contraction, and matrix products.

Everything that depends on the species alone is folded into tables, maps that follow each other are
multiplied together, and what the next layer does to an atom's own features happens here:

    sums   = edge operation(what neighbours sent, radial weights)
    mixed  = sums @ mix[species]
    new    = product(contraction(mixed)) + skip
    skip   = new @ skip[species] of the next layer,  sent = new @ send of the next layer

Where nothing comes between product and send, sent is made from the contraction at once. The
first layer may have channels of its own up to mix, see lowering.low_rank_basis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.engine.chunk import Chunk
from lammps_mace.engine.layer import (
    Gradients,
    NodeFeatures,
    OfPairs,
    Results,
    Saved,
    Vjp,
    numbers_per_slot,
)
from lammps_mace.engine.step_arrays import StepArrays
from lammps_mace.kernels import Matrices, Radial, linear
from lammps_mace.kernels.edges import cpu as edges_cpu
from lammps_mace.lowering.contraction import Rows
from lammps_mace.lowering.edge_sums import Sent
from lammps_mace.lowering.layer_program import LayerProgram
from lammps_mace.models.blocks.linear import Blocks, join, split
from lammps_mace.models.blocks.norms import bounded


class OptimizedLayer:
    """See :class:`lammps_mace.engine.layer.Layer`.

    The weights, arrays of the model's precision:
        spline, first_rows, or radial: see lowering.edge_sums and lowering.edge_functions.
        first: in the first layer, [n_species, 1, sum_channels], what atoms send before it.
        first_skip: likewise [n_species, dim, channels], or None where it has no skip.
        mix: per target degree of the edges, matrices from paths * sum_channels to channels.
        density: of :class:`lammps_mace.lowering.density.DensityProgram`.
        own, after, copies: see :class:`lammps_mace.lowering.messages.MessageProgram`.
        terms: of each program of the contraction, [n_species, n_terms, channels].
        gates: (weight [n_species, channels, n_gates], bias [n_species, n_gates]) or None.
        product: matrices per target irrep.
        skip: matrices of each species per irrep of the next target, or None.
        send: matrices per target irrep, or None; times product where merged.
        readout: parameters of the readout.
    """

    def __init__(self, program: LayerProgram, weights: dict[str, Any]) -> None:
        self._program = program
        self.weights = weights
        channels = program.channels
        self.skip_shape = self.sent_shape = None
        if program.next_target is not None and program.next_sent is not None:
            self.skip_shape = program.next_target.dim, channels.skip
            self.sent_shape = program.next_sent.dim, channels.sent
        sums = tuple(shape[1:] for shape in program.edges.program.result_shapes(0))
        dims = (irrep.dim for irrep in program.messages.irreps)
        mixed = tuple(zip(dims, channels.mixed, strict=True))
        # Saves whichever takes less memory: traffic is the cost, and mixing again is cheap.
        self._saves_sums = numbers_per_slot(sums) < numbers_per_slot(mixed)
        self.saved_shapes = sums if self._saves_sums else mixed
        self.of_pairs: OfPairs = program.edges.of_pairs if "radial" in weights else None
        on_cpu = program.backend == "cpu"
        self.in_registers = on_cpu and edges_cpu.supported(program.edges.program)

    @property
    def knots(self) -> int | None:
        """Knots of the radial splines; None with the radial network itself."""
        return self._program.knots

    @property
    def single_threaded(self) -> bool:
        """Whether C++ kernels do nearly everything, so that XLA uses no other thread."""
        return (
            self.in_registers and "spline" in self.weights and self._program.messages.gate is None
        )

    @property
    def sum_channels(self) -> int:
        """Channels of an edge, of which those of each kind of senders are summed apart."""
        return self._program.edges.program.channels

    def forward(
        self,
        weights: Any,
        arrays: StepArrays,
        chunk: Chunk,
        features: NodeFeatures | None,
        saved: Saved,
    ) -> tuple[Results, Saved]:
        """See the protocol; the sums or the mixed sums are saved."""
        radial = self._program.edges.radial_of(weights, arrays, chunk, False, arrays.of_pairs)
        sums = self._sums(weights, arrays, chunk, features, radial)
        mixed = self._linear(sums, weights["mix"], chunk)
        messages, _ = self._messages(weights, arrays, chunk, features, mixed)
        new, _ = self._program.contraction(weights["terms"], chunk, messages)
        results = self._results(weights, chunk, new, self._skip(weights, chunk, features))
        if saved is not None:
            saved = tuple(map(chunk.put_atoms, saved, sums if self._saves_sums else mixed))
        return results, saved

    def vjp(
        self,
        weights: Any,
        arrays: StepArrays,
        chunk: Chunk,
        features: NodeFeatures | None,
        saved: Saved,
    ) -> tuple[Results, Vjp]:
        """See the protocol."""
        radial = self._program.edges.radial_of(weights, arrays, chunk, True, arrays.of_pairs)
        if saved is None:
            rows = self._sums(weights, arrays, chunk, features, radial)
        else:
            rows = tuple(map(chunk.atoms, saved))
        mixed = rows
        if saved is None or self._saves_sums:
            mixed = self._linear(rows, weights["mix"], chunk)

        def update(new: jax.Array, skip: jax.Array | None) -> Results:
            return self._results(weights, chunk, new, skip)

        messages, pull_messages = self._messages(weights, arrays, chunk, features, mixed)
        new, pull_new = self._program.contraction(weights["terms"], chunk, messages)
        skip = self._skip(weights, chunk.later(), features)
        results, pull_update = jax.vjp(update, new, skip)

        def pull_back(adjoint: Results, gradients: Gradients) -> Gradients:
            new_adjoint, skip_adjoint = pull_update(adjoint)
            mixed_adjoint, gradients = pull_messages(pull_new(new_adjoint), gradients)
            gradients = self._pull_edges(
                weights, arrays, chunk, features, radial, mixed_adjoint, gradients
            )
            if gradients.features is None or skip_adjoint is None:
                return gradients
            skip = chunk.put_atoms(gradients.features.skip, skip_adjoint)
            return Gradients(gradients.vectors, NodeFeatures(skip, gradients.features.sent))

        return results, pull_back

    def _sums(
        self, weights: Any, arrays: StepArrays, chunk: Chunk, features: NodeFeatures | None,
        radial: Radial,
    ) -> tuple[jax.Array, ...]:  # fmt: skip
        sent = _sent(weights, arrays, features)
        return self._program.edges.forward(radial, arrays, chunk, sent)

    def _messages(
        self, weights: Any, arrays: StepArrays, chunk: Chunk,
        features: NodeFeatures | None, mixed: Rows,
    ) -> tuple[Rows, Callable[[Rows, Gradients], tuple[Rows, Gradients]]]:  # fmt: skip
        """Return the messages, and a function from their adjoint to those of all that they read."""
        program = self._program.messages
        if program.is_identity:
            return mixed, lambda adjoints, gradients: (adjoints, gradients)
        own = None if features is None or program.gate is None else chunk.atoms(features.sent)
        density, divisors = program.density, None
        if density is not None:
            divisors = density.forward(weights["density"], arrays, chunk)
        messages, pull = jax.vjp(partial(program.messages, weights, chunk), mixed, divisors, own)

        def pull_back(adjoints: Rows, gradients: Gradients) -> tuple[Rows, Gradients]:
            mixed_adjoint, divisors_adjoint, own_adjoint = pull(adjoints)
            if density is not None:
                vectors = density.backward(
                    weights["density"], arrays, chunk, divisors_adjoint, gradients.vectors
                )
                gradients = gradients._replace(vectors=vectors)
            if gradients.features is not None and own_adjoint is not None:
                sent = gradients.features.sent
                sent = chunk.put_atoms(sent, chunk.atoms(sent) + own_adjoint)
                gradients = gradients._replace(features=gradients.features._replace(sent=sent))
            return mixed_adjoint, gradients

        return messages, pull_back

    def _linear(
        self, blocks: Sequence[jax.Array], matrices: Sequence[Matrices], chunk: Chunk
    ) -> tuple[jax.Array, ...]:
        return linear(blocks, matrices, chunk.species, chunk.n_atoms, backend=self._program.backend)

    def _mapped(self, blocks: Blocks, matrices: dict[str, Matrices], chunk: Chunk) -> Blocks:
        """Return the blocks of those irreps that there are matrices for, mapped."""
        irreps = [irrep for irrep in blocks if str(irrep) in matrices]
        rows = [blocks[irrep] for irrep in irreps]
        maps = [matrices[str(irrep)] for irrep in irreps]
        return dict(zip(irreps, self._linear(rows, maps, chunk), strict=True))

    def _pull_edges(
        self, weights: Any, arrays: StepArrays, chunk: Chunk, features: NodeFeatures | None,
        radial: Radial, mixed_adjoint: tuple[jax.Array, ...], gradients: Gradients,
    ) -> Gradients:  # fmt: skip
        back = [matrices.transposed for matrices in weights["mix"]]
        adjoints = self._linear(mixed_adjoint, back, chunk)
        before = None if gradients.features is None else gradients.features.sent
        vectors, sent = self._program.edges.backward(
            radial, arrays, chunk, _sent(weights, arrays, features), adjoints,
            gradients.vectors, before,
        )  # fmt: skip
        if gradients.features is None or sent is None:
            return Gradients(vectors, None)
        return Gradients(vectors, NodeFeatures(gradients.features.skip, sent))

    def _skip(self, weights: Any, chunk: Chunk, features: NodeFeatures | None) -> jax.Array | None:
        if features is not None:
            return chunk.atoms(features.skip)
        if weights["first_skip"] is None:
            return None
        rows = weights["first_skip"][chunk.species]
        return jnp.broadcast_to(rows, (chunk.n_slots, *rows.shape))

    def _results(
        self, weights: Any, chunk: Chunk, new: jax.Array, skip: jax.Array | None
    ) -> Results:
        program = self._program
        if weights["gates"] is not None:
            new = new * _gates(weights["gates"], new[:, 0], chunk.species, program.target)
        contracted = split(new, program.target)
        blocks = self._mapped(contracted, weights["product"], chunk)
        if program.bound is not None:
            joined = join(blocks, program.target)
            blocks = split(bounded(joined, program.target, program.bound), program.target)
        if skip is not None and not program.merged:  # a layer without a skip is given zeros
            blocks = {ir: blocks[ir] + x for ir, x in split(skip, program.target).items()}
        outputs = program.readout(weights["readout"], blocks)
        if program.next_target is None or program.next_sent is None:
            return Results(None, None, outputs)
        next_skip = self._mapped(blocks, weights["skip"], chunk)
        sent = self._mapped(contracted if program.merged else blocks, weights["send"], chunk)
        return Results(join(next_skip, program.next_target), join(sent, program.next_sent), outputs)


def _sent(weights: Any, arrays: StepArrays, features: NodeFeatures | None) -> Sent:
    """Return what atoms send: in the first layer a row for each species."""
    if features is None:
        return Sent(arrays.sender_species, weights["first"])
    return Sent(arrays.senders, features.sent)


def _gates(
    affine: tuple[jax.Array, jax.Array], scalars: jax.Array, species: jax.Array, irreps: e3nn.Irreps
) -> jax.Array:
    """Return the gates [n, dim, channels]; see ScalarGate in models.description."""
    weight, bias = affine
    gates = (scalars @ weight[species] + bias[species]).reshape(len(scalars), len(irreps), -1)
    return jnp.repeat(gates, np.array([ir.dim for _, ir in irreps]), axis=1)
