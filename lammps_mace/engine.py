"""The engine: energy and gradient layer by layer, in chunks of atoms, around ghost exchanges."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from lammps_mace.capacity import CHUNK_ATOMS, Capacity, needed
from lammps_mace.coupling.neighbors import Exchange, Neighbors, Prediction
from lammps_mace.graph import Edges, Globals, Graph, Nodes
from lammps_mace.model.embedding import MaceEmbeddingBlock, charge_index, num_species
from lammps_mace.model.interaction import EdgeInputs
from lammps_mace.model.layer import MaceLayer
from lammps_mace.model.mace import atomic_energy_table
from lammps_mace.modelfile import Model


@struct.dataclass
class Inputs:
    """The padded arrays of one step.

    Attributes:
        vectors: [edges, 3], r_receiver - r_sender, Å: the model's convention.
        senders, receivers: int32 [edges], rows of all and of own atoms.
        offsets: int32 [local + 1].
        species: int32 [local]; all_species: int32 [total].
        weights: [local], 1 where an atom's energy counts, else 0.
        n_chunks: int32, chunks that hold atoms.
    """

    vectors: jax.Array
    senders: jax.Array
    receivers: jax.Array
    offsets: jax.Array
    species: jax.Array
    all_species: jax.Array
    weights: jax.Array
    n_chunks: jax.Array


class State(NamedTuple):
    """Features at a layer boundary, or their adjoints.

    Attributes:
        latent: [local, dim, channels], of own atoms.
        sent: [total, dim, channels], what own and ghost atoms send.
    """

    latent: jax.Array
    sent: jax.Array


class Chunk(NamedTuple):
    """The pairs and atoms of one chunk."""

    atom: jax.Array
    edge: jax.Array
    vectors: jax.Array
    senders: jax.Array
    receivers: jax.Array
    mask: jax.Array
    species: jax.Array
    sender_species: jax.Array
    weights: jax.Array


class Engine:
    """Evaluates one model on one rank.

    The model is cut at the layer boundaries. Inner layers run forward once and again, with their
    gradient, on the way back; the last layer runs forward and backward at once. Every loop streams
    over chunks of atoms, so memory holds the features at the boundaries and one chunk.
    """

    def __init__(self, model: Model) -> None:
        config, info = model.config, model.dataset_info
        self.model = model
        self.cutoff = info.graph_cutoff_angstrom
        self.dtype = np.dtype(model.dtype)
        # Several sets of E0 may share one readout.
        self._readout = model.head if config.num_readout_heads > 1 else 0
        self.capacity = Capacity()
        self._embedding = MaceEmbeddingBlock(config, info)
        self._layers = [MaceLayer(config, info, i) for i in range(config.num_layers)]
        self._params = jax.tree.map(lambda x: jnp.asarray(x, self.dtype), dict(model.params))
        self._atomic_energies = np.array(_atomic_energies(model))
        self._first = jax.jit(self._embed_species)()
        inner = range(config.num_layers - 1)
        self._forward = [_jitted(partial(self._forward_layer, i)) for i in inner]
        self._backward = [_jitted(partial(self._backward_layer, i)) for i in inner]
        self._last = _jitted(self._last_layer)

    @property
    def exchange_widths(self) -> tuple[int, ...]:
        """Numbers per atom in each forward exchange of a step, in order."""
        channels = self.model.config.num_channels
        return tuple(layer.source_irreps.dim * channels for layer in self._layers[1:])

    @property
    def compilations(self) -> dict[str, int]:
        """How often each jitted function was compiled."""
        functions = {f"forward {i + 1}": f for i, f in enumerate(self._forward)}
        functions |= {f"backward {i + 1}": f for i, f in enumerate(self._backward)}
        functions["last layer"] = self._last
        return {name: f._cache_size() for name, f in functions.items()}

    def evaluate(self, neighbors: Neighbors, exchange: Exchange) -> Prediction:
        """Return energies and pair gradients; every rank calls this together."""
        self.capacity = self.capacity.fitting(needed(neighbors.offsets, neighbors.n_total))
        inputs = _padded(neighbors, self.capacity, self.dtype, self.cutoff)
        call = {"chunk_edges": self.capacity.chunk_edges}
        ghosts = _Ghosts(neighbors, self.capacity, exchange)
        # The first layer reads its features from a table of species: an empty state.
        states: list[State | None] = [None]
        outputs = jnp.zeros(self.capacity.local, self.dtype)
        for forward in self._forward:
            state, outputs = forward(self._params, inputs, states[-1], outputs, **call)
            states.append(State(state.latent, ghosts.fetch(state.sent)))
        outputs, gradient, adjoint = self._last(self._params, inputs, states[-1], outputs, **call)
        for backward, state in zip(reversed(self._backward), reversed(states[:-1]), strict=True):
            adjoint = State(adjoint.latent, ghosts.give_back(adjoint.sent))
            gradient, adjoint = backward(self._params, inputs, state, adjoint, gradient, **call)
        return self._prediction(neighbors, outputs, gradient)

    def _prediction(
        self, neighbors: Neighbors, outputs: jax.Array, gradient: jax.Array
    ) -> Prediction:
        info, species = self.model.dataset_info, neighbors.species[: neighbors.n_local]
        energies = np.asarray(outputs)[: neighbors.n_local].astype(np.float64)
        energies = energies * info.scaling_stdev + info.scaling_mean
        energies += self._atomic_energies[species]
        known = species >= 0 if neighbors.counted is None else (species >= 0) & neighbors.counted
        return Prediction(
            np.where(known, energies, 0.0),
            -np.asarray(gradient)[: neighbors.n_pairs].astype(np.float64),
        )

    def _embed_species(self) -> tuple[jax.Array, jax.Array]:
        # What an atom of each species knows, and sends, before the first layer.
        model = self.model
        rows = jnp.arange(num_species(model.config, model.dataset_info), dtype=jnp.int32)
        latent = self._embedding.apply(
            _scope(self._params, "embedding_block"),
            rows,
            _charge_rows(model, rows),
            method="embed_species",
        )
        return latent, self._send(0, self._params, latent)

    def _send(self, i: int, params: Any, latent: jax.Array) -> jax.Array:
        return self._layers[i].apply(_scope(params, f"layers_{i}"), latent, method="send")

    def _update(
        self,
        i: int,
        params: Any,
        chunk: Chunk,
        vectors: jax.Array,
        latent: jax.Array,
        sent: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        """Return new features and energies of the atoms of a chunk."""
        radial, spherical = self._embedding.apply({}, vectors, method="embed_vectors")
        edges = EdgeInputs(
            radial, spherical, chunk.receivers, chunk.mask,
            chunk.sender_species, chunk.species[chunk.receivers],
        )  # fmt: skip
        scope = _scope(params, f"layers_{i}")
        new, outputs = self._layers[i].apply(
            scope, latent, sent, chunk.species, edges, method="update"
        )
        return new, outputs[:, self._readout, 0]

    def _read(
        self, inputs: Inputs, state: State | None, chunk: Chunk
    ) -> tuple[jax.Array, jax.Array]:
        """Return the features of a chunk's atoms and what the senders of its pairs sent."""
        if state is None:
            latent, sent = self._first
            return latent[chunk.species], sent[chunk.sender_species]
        latent = jax.lax.dynamic_slice_in_dim(state.latent, chunk.atom, CHUNK_ATOMS)
        return latent, state.sent[chunk.senders]

    def _forward_layer(
        self, i: int, params: Any, inputs: Inputs, state: State | None, outputs: jax.Array,
        *, chunk_edges: int,
    ) -> tuple[State, jax.Array]:  # fmt: skip
        shape = (
            outputs.shape[0],
            self._layers[i].target_irreps.dim,
            self.model.config.num_channels,
        )
        zeros = jnp.zeros(shape, self.dtype)

        def body(k: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            result, outputs = carry
            chunk = _chunk(inputs, k, chunk_edges)
            new, energy = self._update(
                i, params, chunk, chunk.vectors, *self._read(inputs, state, chunk)
            )
            latent = _put(result.latent, new, chunk.atom)
            sent = _put(result.sent, self._send(i + 1, params, new), chunk.atom)
            return State(latent, sent), _add(outputs, energy, chunk.atom)

        return jax.lax.fori_loop(0, inputs.n_chunks, body, (State(zeros, zeros), outputs))

    def _last_layer(
        self, params: Any, inputs: Inputs, state: State | None, outputs: jax.Array,
        *, chunk_edges: int,
    ) -> tuple[jax.Array, jax.Array, State | None]:  # fmt: skip
        i = len(self._layers) - 1

        def body(k: jax.Array, carry: Any) -> Any:
            outputs, gradient, adjoint = carry
            chunk = _chunk(inputs, k, chunk_edges)
            update = partial(self._update, i, params, chunk)
            (new, energy), pull = jax.vjp(update, chunk.vectors, *self._read(inputs, state, chunk))
            pulled = pull((jnp.zeros_like(new), self._energy_adjoint(chunk)))
            return _add(outputs, energy, chunk.atom), *_accumulate(gradient, adjoint, chunk, pulled)

        start = (outputs, jnp.zeros_like(inputs.vectors), jax.tree.map(jnp.zeros_like, state))
        return jax.lax.fori_loop(0, inputs.n_chunks, body, start)

    def _backward_layer(
        self, i: int, params: Any, inputs: Inputs, state: State | None, above: State,
        gradient: jax.Array, *, chunk_edges: int,
    ) -> tuple[jax.Array, State | None]:  # fmt: skip
        """Pull the adjoints of the layer's results, ``above``, back to its pairs and state."""

        def body(k: jax.Array, carry: Any) -> Any:
            gradient, adjoint = carry
            chunk = _chunk(inputs, k, chunk_edges)

            def step(vectors: jax.Array, latent: jax.Array, sent: jax.Array) -> Any:
                new, energy = self._update(i, params, chunk, vectors, latent, sent)
                return new, self._send(i + 1, params, new), energy

            _, pull = jax.vjp(step, chunk.vectors, *self._read(inputs, state, chunk))
            latent = jax.lax.dynamic_slice_in_dim(above.latent, chunk.atom, CHUNK_ATOMS)
            sent = jax.lax.dynamic_slice_in_dim(above.sent, chunk.atom, CHUNK_ATOMS)
            pulled = pull((latent, sent, self._energy_adjoint(chunk)))
            return _accumulate(gradient, adjoint, chunk, pulled)

        start = (gradient, jax.tree.map(jnp.zeros_like, state))
        return jax.lax.fori_loop(0, inputs.n_chunks, body, start)

    def _energy_adjoint(self, chunk: Chunk) -> jax.Array:
        # The network's energies are multiplied by this before they are eV.
        return chunk.weights * self.model.dataset_info.scaling_stdev


class _Ghosts:
    """Moves layer features between ranks; on one domain they stay where they are."""

    def __init__(self, neighbors: Neighbors, capacity: Capacity, exchange: Exchange) -> None:
        self._n_local, self._n_total = neighbors.n_local, neighbors.n_total
        self._capacity, self._exchange = capacity, exchange
        self._alone = neighbors.one_domain

    def _flat(self, rows: np.ndarray) -> np.ndarray:
        # The width is spelled out: a rank without any atoms has nothing to infer it from.
        return rows[: self._n_total].reshape(self._n_total, math.prod(rows.shape[1:]))

    def fetch(self, sent: jax.Array) -> jax.Array:
        """Return [total, ...] with the ghosts' rows, for [local, ...] of own atoms."""
        if self._alone:
            return sent
        rows = np.zeros((self._capacity.total, *sent.shape[1:]), sent.dtype)
        rows[: self._n_local] = np.asarray(sent)[: self._n_local]
        self._exchange.forward_exchange(self._flat(rows))
        return jnp.asarray(rows)

    def give_back(self, adjoint: jax.Array) -> jax.Array:
        """Return [local, ...] with the ghosts' adjoints added at their owners."""
        if self._alone:
            return adjoint
        rows = np.array(adjoint)
        self._exchange.reverse_exchange(self._flat(rows))
        out = np.zeros((self._capacity.local, *adjoint.shape[1:]), adjoint.dtype)
        out[: self._n_local] = rows[: self._n_local]
        return jnp.asarray(out)


def _jitted(function: Any) -> Any:
    return jax.jit(function, static_argnames="chunk_edges")


def _scope(params: Any, name: str) -> dict[str, Any]:
    return {"params": params[name]}


def _padded(neighbors: Neighbors, capacity: Capacity, dtype: np.dtype, cutoff: float) -> Inputs:
    """Return the arrays of a step at full capacity."""
    n_local, n_pairs = neighbors.n_local, neighbors.n_pairs
    vectors = np.zeros((capacity.edges, 3), dtype)
    vectors[:, 0] = 2 * cutoff  # padding: harmless in every function of the distance
    # The centre of a pair receives: LAMMPS's r_neighbour - r_centre has the other sign.
    np.negative(neighbors.vectors, out=vectors[:n_pairs], casting="same_kind")
    offsets = np.full(capacity.local + 1, n_pairs, np.int32)
    offsets[: n_local + 1] = neighbors.offsets
    rows = np.repeat(np.arange(n_local, dtype=np.int32), np.diff(neighbors.offsets))
    species = np.maximum(neighbors.species, 0)
    weights = np.zeros(capacity.local, dtype)
    weights[:n_local] = 1 if neighbors.counted is None else neighbors.counted
    return Inputs(
        vectors=jnp.asarray(vectors),
        senders=_filled(capacity.edges, neighbors.senders, capacity.total - 1),
        receivers=_filled(capacity.edges, rows, capacity.local - 1),
        offsets=jnp.asarray(offsets),
        species=_filled(capacity.local, species[:n_local], 0),
        all_species=_filled(capacity.total, species, 0),
        weights=jnp.asarray(weights),
        n_chunks=jnp.asarray(-(-n_local // CHUNK_ATOMS), jnp.int32),
    )


def _filled(size: int, values: np.ndarray, fill: int) -> jax.Array:
    out = np.full(size, fill, np.int32)
    out[: len(values)] = values
    return jnp.asarray(out)


def _chunk(inputs: Inputs, k: jax.Array, chunk_edges: int) -> Chunk:
    atom = k * CHUNK_ATOMS
    edge, end = inputs.offsets[atom], inputs.offsets[atom + CHUNK_ATOMS]
    mask = edge + jnp.arange(chunk_edges, dtype=jnp.int32) < end

    def cut(x: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(x, edge, chunk_edges)

    senders = cut(inputs.senders)
    return Chunk(
        atom=atom,
        edge=edge,
        vectors=cut(inputs.vectors),
        senders=senders,
        receivers=jnp.where(mask, cut(inputs.receivers) - atom, CHUNK_ATOMS - 1),
        mask=mask,
        species=jax.lax.dynamic_slice_in_dim(inputs.species, atom, CHUNK_ATOMS),
        sender_species=inputs.all_species[senders],
        weights=jax.lax.dynamic_slice_in_dim(inputs.weights, atom, CHUNK_ATOMS),
    )


def _put(whole: jax.Array, part: jax.Array, start: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_slice_in_dim(whole, part, start, 0)


def _add(whole: jax.Array, part: jax.Array, start: jax.Array) -> jax.Array:
    old = jax.lax.dynamic_slice_in_dim(whole, start, part.shape[0])
    return _put(whole, old + part, start)


def _accumulate(
    gradient: jax.Array, adjoint: State | None, chunk: Chunk, pulled: tuple[jax.Array, ...]
) -> tuple[jax.Array, State | None]:
    vectors, latent, sent = pulled
    # Slices of neighbouring chunks overlap in their padding: that must not be added twice.
    gradient = _add(gradient, jnp.where(chunk.mask[:, None], vectors, 0.0), chunk.edge)
    if adjoint is None:
        return gradient, None
    sent = jnp.where(chunk.mask[:, None, None], sent, 0.0)
    return gradient, State(
        _put(adjoint.latent, latent, chunk.atom), adjoint.sent.at[chunk.senders].add(sent)
    )


def _atomic_energies(model: Model) -> list[float]:
    # One entry more: species -1, not part of the model, reads the last.
    if not model.config.add_atomic_energies:
        return [0.0] * (len(model.dataset_info.atomic_numbers) + 1)
    return [*atomic_energy_table(model.dataset_info, model.head), 0.0]


def _charge_rows(model: Model, rows: jax.Array) -> jax.Array | None:
    if not model.config.use_total_charge_embedding:
        return None
    graph = Graph(
        Nodes(rows), Edges(), rows, rows, n_node=jnp.asarray([rows.shape[0]], jnp.int32),
        globals=Globals(charge=jnp.asarray([model.total_charge], model.dtype)),
    )  # fmt: skip
    return charge_index(model.config, model.dataset_info, graph)
