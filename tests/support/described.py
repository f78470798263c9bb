"""The energy of a description by its equations, step by step: what lowering has to reproduce."""

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.models.blocks.linear import join, split
from lammps_mace.models.blocks.norms import bounded


def described_energy(description, structure, vectors):
    """Return the energy of a structure, eV, float64; vectors [n_pairs, 3], r_j - r_i."""
    species = structure.species
    h, u = (np.asarray(x, np.float64)[species] for x in description.first_features())
    outputs = 0.0
    for layer in description.layers:
        if layer.send is not None:
            u = mapped(layer.send, split(h, layer.source), species, layer.source)
        h, out = layer_results(layer, h, u, structure, vectors)
        outputs += out[:, 0].sum()
    shifts = description.shift + description.atomic_energies[species]
    return description.scale * outputs + shifts.sum()


def layer_results(layer, h, u, structure, vectors):
    species = structure.species
    blocks = summed(layer, u, structure, vectors)
    for linear in layer.mix:
        blocks = dict(zip(blocks, per_irrep(linear, blocks, species), strict=True))
    n, channels = len(species), next(iter(blocks.values())).shape[2]
    empty = {ir: jnp.zeros((n, ir.dim, channels)) for _, ir in layer.messages}
    contraction = layer.contraction
    weights = {
        key: jnp.broadcast_to(weight, (species.max() + 1, *weight.shape[1:]))
        if len(weight) == 1
        else jnp.asarray(weight)
        for key, weight in contraction.weights.items()
    }
    new = contraction.polynomial(join({**empty, **blocks}, layer.messages), weights, species)
    if layer.scalar_gate is not None:
        weight, bias = layer.scalar_gate.weight[species], layer.scalar_gate.bias[species]
        gates = jnp.einsum("nc,ncg->ng", new[:, 0], weight) + bias
        gates = gates.reshape(n, -1, channels)
        new *= jnp.repeat(gates, np.array([ir.dim for _, ir in layer.target]), axis=1)
    new = mapped(layer.product, split(new, layer.target), species, layer.target)
    if layer.bound is not None:
        new = bounded(new, layer.target, layer.bound)
    if layer.skip is not None:
        new += mapped(layer.skip, split(h, layer.source), species, layer.target)
    return new, layer.readout.function(layer.readout.parameters, split(new, layer.target))


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
    sent = split(u[senders], layer.source)
    sums = {}
    for index, path in enumerate(layer.paths):
        irrep = e3nn.Irreps([(1, (path.degree, (-1) ** path.degree))])
        harmonics = e3nn.spherical_harmonics(irrep, d, True, normalization="component").array
        product = jnp.einsum("eac,eb,abo->eoc", sent[path.source], harmonics, path.coefficients)
        message = product * weights[:, index, None] / layer.normalization
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
