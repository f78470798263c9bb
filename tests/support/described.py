"""The energy of a description by its equations, step by step: what lowering has to reproduce."""

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.models.blocks.linear import join, split
from lammps_mace.models.blocks.norms import bounded
from lammps_mace.models.description import Density


def described_energy(description, structure, vectors):
    """Return the energy of a structure, eV, float64; vectors [n_pairs, 3], r_j - r_i."""
    species = structure.species
    h, u = (np.asarray(x, np.float64)[species] for x in description.first_features())
    outputs = 0.0
    for layer in description.layers:
        if layer.send is not None:
            u = mapped(layer.send, split(h, layer.source), species, sent_by(layer))
        h, out = layer_results(layer, h, u, structure, vectors)
        outputs += out[:, 0].sum()
    outputs += pair_energies(description, structure, vectors)
    shifts = description.shift + description.atomic_energies[species]
    return description.scale * outputs + shifts.sum()


def pair_energies(description, structure, vectors):
    energy = description.pair_energy
    if energy is None:
        return 0.0
    species = structure.species[structure.neighbours], structure.species[structure.centres]
    r = jnp.linalg.norm(vectors, axis=1)
    total = energy.function(energy.parameters, r, *species).sum()
    return total if energy.scaled else total / description.scale


def layer_results(layer, h, u, structure, vectors):
    species = structure.species
    blocks = summed(layer, u, structure, vectors)
    for linear in layer.mix:
        blocks = dict(zip(blocks, per_irrep(linear, blocks, species), strict=True))
    if isinstance(layer.normalization, Density):
        divisors = densities(layer.normalization, structure, vectors)
        blocks = {irrep: block / divisors[:, None, None] for irrep, block in blocks.items()}
    if layer.message_gate is not None:
        blocks = gated(layer, blocks, u, species)
    n, width = len(species), next(iter(blocks.values())).shape[2]
    empty = {ir: jnp.zeros((n, ir.dim, width)) for _, ir in layer.messages}
    rows = join({**empty, **blocks}, layer.messages)
    copies = jnp.split(rows, layer.copies, axis=2)
    messages = jnp.stack(copies, axis=2).reshape(n, -1, width // layer.copies)
    new = contracted(layer.contraction, messages, species)
    if layer.scalar_gate is not None:
        weight, bias = layer.scalar_gate.weight[species], layer.scalar_gate.bias[species]
        gates = jnp.einsum("nc,ncg->ng", new[:, 0], weight) + bias
        gates = gates.reshape(n, -1, new.shape[2])
        new *= jnp.repeat(gates, np.array([ir.dim for _, ir in layer.target]), axis=1)
    new = mapped(layer.product, split(new, layer.target), species, layer.target)
    if layer.bound is not None:
        new = bounded(new, layer.target, layer.bound)
    if layer.skip is not None:
        new += mapped(layer.skip, split(h, layer.source), species, layer.target)
    return new, layer.readout.function(layer.readout.parameters, split(new, layer.target))


def contracted(contraction, messages, species):
    """Return the polynomial of messages [n, variables, channels]."""
    variables = messages
    if contraction.inner is not None:
        inner = contracted(contraction.inner, messages, species)
        variables = jnp.concatenate([messages, inner], axis=1)
    weights = {
        key: jnp.broadcast_to(weight, (species.max() + 1, *weight.shape[1:]))
        if len(weight) == 1
        else jnp.asarray(weight)
        for key, weight in contraction.weights.items()
    }
    return contraction.polynomial(variables, weights, species)


def sent_by(layer):
    """Return the irreps of what atoms send."""
    return layer.source if layer.sent is None else layer.sent


def densities(density, structure, vectors):
    senders, receivers = structure.neighbours, structure.centres
    r, radial = jnp.linalg.norm(vectors, axis=1), density.radial
    species = structure.species[senders], structure.species[receivers]
    weights = radial.functions(radial.parameters, r, *species) @ radial.matrix
    sums = jax.ops.segment_sum(weights[:, 0], receivers, len(structure.species))
    return density.constant + density.factor * sums


def gated(layer, blocks, u, species):
    """Return the messages past the gate, channel by channel."""
    gate = layer.message_gate
    sent = split(u, sent_by(layer))
    own = dict(zip(sent, per_irrep(gate.own, sent, species), strict=True)) if gate.own else {}
    blocks = {irrep: block + own.get(irrep, 0.0) for irrep, block in blocks.items()}
    scalars = next(block for irrep, block in blocks.items() if irrep == "0e")
    n, passed = gate.n_scalars, {}
    for irrep, block in blocks.items():
        if irrep == "0e":
            passed[irrep] = gate.scalars(block[:, :, : gate.n_scalars])
            continue
        columns = [block[:, :, c] * gate.gates(scalars[:, :, n + c]) for c in range(block.shape[2])]
        passed[irrep], n = jnp.stack(columns, axis=2), n + block.shape[2]
    return dict(zip(passed, per_irrep(gate.after, passed, species), strict=True))


def summed(layer, u, structure, vectors):
    """Return irrep -> the sums over neighbours [n, 2l+1, paths * channels], channels fastest."""
    d = -vectors  # from the neighbour, that sends, to the centre
    r = jnp.linalg.norm(d, axis=1)
    senders, receivers = structure.neighbours, structure.centres
    of_senders, of_receivers = structure.species[senders], structure.species[receivers]
    radial = layer.radial
    weights = radial.functions(radial.parameters, r, of_senders, of_receivers) @ radial.matrix
    if radial.factor is not None:
        weights *= radial.factor[of_senders, of_receivers]
    weights = weights.reshape(len(r), len(layer.paths), -1)
    sent = split(u[senders], sent_by(layer))
    constant = 1.0 if isinstance(layer.normalization, Density) else layer.normalization
    sums = {}
    for index, path in enumerate(layer.paths):
        irrep = e3nn.Irreps([(1, (path.degree, (-1) ** path.degree))])
        harmonics = e3nn.spherical_harmonics(irrep, d, True, normalization="component").array
        product = jnp.einsum("eac,eb,abo->eoc", sent[path.source], harmonics, path.coefficients)
        message = product * weights[:, index, None] / constant
        total = jax.ops.segment_sum(message, receivers, len(u))
        sums.setdefault(path.target, []).append(total)
    return {irrep: jnp.concatenate(parts, axis=2) for irrep, parts in sums.items()}


def mapped(linear, blocks, species, irreps):
    """Return the blocks mapped and joined; zeros where the map has no matrix."""
    used = {ir: block for ir, block in blocks.items() if str(ir) in linear}
    found = dict(zip(used, per_irrep(linear, used, species), strict=True))
    like = next(iter(found.values()))
    zeros = {ir: jnp.zeros((len(like), ir.dim, like.shape[2])) for _, ir in irreps}
    return join({**zeros, **found}, irreps)


def per_irrep(linear, blocks, species):
    for irrep, block in blocks.items():
        matrix = linear[str(irrep)]
        chosen = (
            matrix[species]
            if len(matrix) > 1
            else jnp.broadcast_to(matrix, (len(species), *matrix.shape[1:]))
        )
        yield jnp.einsum("nmb,nba->nma", block, chosen)
