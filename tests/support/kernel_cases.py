"""Random neighbourhoods and programs for the tests of the kernels."""

from contextlib import contextmanager
from dataclasses import dataclass, replace

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.kernels import (
    EdgeFunctions,
    EdgeOperands,
    EdgePath,
    EdgeProgram,
    Spline,
    native,
    pack_map,
    pack_spline,
    spline_degree,
)
from lammps_mace.models.mlip.embedding import harmonics
from lammps_mace.models.mlip.interaction import EdgeInputs, convolve, message_paths

CUTOFF = 5.0


def _instruction_sets():
    names = native.instruction_sets()
    return names[: names.index(native.instruction_set()) + 1]


BACKENDS = ("xla", "gpu", *_instruction_sets())  # the C++ kernels by instruction set
PLAIN = native.instruction_sets()[0]


@contextmanager
def running(backend):
    """Choose the kernels' instruction set; yield what the product calls the backend."""
    if backend in ("xla", "gpu"):
        yield backend
        return
    before = native.instruction_set()
    native.use_instruction_set(backend)
    try:
        yield "cpu"
    finally:
        native.use_instruction_set(before)


def natural(l_max):
    return e3nn.Irreps.spherical_harmonics(l_max)


def edge_program(source, l_max, target, channels):
    paths = message_paths(source, l_max, target)
    sources, targets = [ir for _, ir in source], [ir for _, ir in target]
    return EdgeProgram(
        tuple(ir.l for ir in sources),
        tuple(ir.l for ir in targets),
        tuple(
            EdgePath(sources.index(p.source), p.degree, targets.index(p.target), p.coefficients)
            for p in paths
        ),
        channels,
        CUTOFF,
        knot_scale=CUTOFF / 8,
    )


@dataclass
class EdgeCase:
    """One chunk: arguments of edges_forward and edges_backward."""

    program: EdgeProgram
    source: e3nn.Irreps
    l_max: int
    target: e3nn.Irreps
    radial: object
    weights: np.ndarray | None  # values and slopes where they are not splines
    vectors: jax.Array
    starts: jax.Array
    ends: jax.Array
    senders: jax.Array
    sent: jax.Array
    adjoints: tuple
    gradient: jax.Array
    sent_adjoint: jax.Array
    chunk_edges: int

    @property
    def operands(self):
        return EdgeOperands(
            self.radial, self.vectors, self.starts, self.ends, self.senders, self.sent,
            self.chunk_edges,
        )  # fmt: skip

    @property
    def adjoint_arguments(self):
        return self.adjoints, self.gradient, self.sent_adjoint


def edge_case(
    l_source, l_max, channels, counts, dtype=np.float64, kind="splines", knots=64, before=7,
    after=5, splines=1,
):  # fmt: skip
    """Make a chunk with ``counts`` neighbours per atom, -1 for a padding atom.

    Some edges have length zero or lie beyond the cutoff; rows before and after belong to others.
    """
    rng = np.random.default_rng(len(counts) + 10 * l_max + channels)
    source, target = natural(l_source), natural(l_max)
    program = replace(edge_program(source, l_max, target, channels), n_splines=splines)
    edges = sum(max(count, 0) for count in counts)
    total, chunk = before + edges + after, edges + 3
    starts, ends = _ranges(counts, before)
    vectors = _vectors(rng, total)
    cast = lambda a: jnp.asarray(np.asarray(a, dtype))  # noqa: E731
    senders = 11
    dim = source.dim
    paths = len(program.paths)
    if kind == "splines":
        rows_each = knots + spline_degree(dtype)
        table = cast(pack_spline(rng.normal(size=(splines * rows_each, paths, channels))))
        which = jnp.asarray(rng.integers(0, splines, chunk) * rows_each, jnp.int32)
        radial, weights = Spline(table, None if splines == 1 else which), None
    else:
        radial, weights = _functions(rng, kind, chunk, paths, channels, dtype)
    return EdgeCase(
        program, source, l_max, target, radial, weights, cast(vectors),
        jnp.asarray(starts), jnp.asarray(ends),
        jnp.asarray(rng.integers(0, senders, total), jnp.int32),
        cast(rng.normal(size=(senders, dim, channels))),
        tuple(cast(rng.normal(size=shape)) for shape in program.result_shapes(len(counts))),
        cast(rng.normal(size=(total, 3))),
        cast(rng.normal(size=(senders, dim, channels))),
        chunk,
    )  # fmt: skip


def _functions(rng, kind, chunk, n_paths, channels, dtype):
    """Return the operand, and values and slopes of the weights, [chunk, 2, paths, channels]."""
    draw = lambda *shape: rng.normal(size=shape).astype(dtype)  # noqa: E731
    if kind == "bare":
        values = draw(chunk, 2, channels)
        return EdgeFunctions(jnp.asarray(values)), values[:, :, None].repeat(n_paths, axis=2)
    values, matrix = draw(chunk, 2, 13), draw(13, n_paths * channels)
    factors, which = draw(3, n_paths * channels), rng.integers(0, 3, chunk)
    weights = values @ matrix * factors[which, None]
    radial = EdgeFunctions(
        jnp.asarray(values), jnp.asarray(pack_map(matrix)), jnp.asarray(factors),
        jnp.asarray(which, jnp.int32),
    )  # fmt: skip
    return radial, weights.reshape(chunk, 2, n_paths, channels)


def _ranges(counts, before):
    starts, ends, row = [], [], before
    for count in counts:
        starts.append(0 if count < 0 else row)
        row += max(count, 0)
        ends.append(0 if count < 0 else row)
    return np.array(starts, np.int32), np.array(ends, np.int32)


def _vectors(rng, total):
    directions = rng.normal(size=(total, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    vectors = directions * rng.uniform(0.3, 0.99 * CUTOFF, (total, 1))
    special = rng.uniform(size=total)
    vectors[special < 0.1] = 0.0
    vectors[(special > 0.1) & (special < 0.2)] *= 10.0
    vectors[(special > 0.2) & (special < 0.25)] = [0.0, 0.0, CUTOFF]
    vectors[(special > 0.25) & (special < 0.3)] = [0.0, 2.0, 0.0]
    return vectors


def plain_sums(case, vectors, sent, weights):
    """The same sums from the layers of the model; weights [chunk, paths, channels] of each edge."""
    starts, ends = np.asarray(case.starts), np.asarray(case.ends)
    first = starts[0]
    rows = np.arange(first, first + case.chunk_edges)
    rows = np.minimum(rows, len(case.vectors) - 1)
    receivers = np.zeros(case.chunk_edges, int)
    mask = np.zeros(case.chunk_edges, bool)
    for atom, (start, end) in enumerate(zip(starts, ends, strict=True)):
        receivers[start - first : max(end - first, 0)] = atom
        mask[start - first : max(end - first, 0)] = True
    lengths = np.linalg.norm(np.asarray(case.vectors, np.float64)[rows], axis=1)
    mask &= (lengths > 0.0) & (lengths < CUTOFF)
    safe = jnp.where(mask[:, None], vectors[rows], 1.0)
    edges = EdgeInputs(None, harmonics(safe, case.l_max), jnp.asarray(receivers), jnp.asarray(mask))
    h = sent[np.asarray(case.senders)[rows]]
    paths = message_paths(case.source, case.l_max, case.target)
    blocks = convolve(h, case.source, paths, weights, edges, len(case.starts))
    return tuple(_path_major(blocks[ir], case.program.channels) for _, ir in case.target)


def _path_major(block, channels):
    n, size, width = block.shape
    return block.reshape(n, size, channels, -1).swapaxes(2, 3).reshape(n, size, width)
