"""Tables: the weights of a lowered layer, computed from the model's parameters in float64."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import e3nn_jax as e3nn
import jax
import numpy as np

from lammps_mace.kernels import (
    BLOCK,
    ContractionProgram,
    EdgePath,
    EdgeProgram,
    Matrices,
    pack_matrices,
)
from lammps_mace.lowering.radial_splines import few_functions
from lammps_mace.models.blocks.linear import irrep_order, weight_names
from lammps_mace.models.blocks.polynomial import Polynomial
from lammps_mace.models.mlip.contraction import contraction_polynomial
from lammps_mace.models.mlip.contraction_e3j import (
    columns_by_power,
    e3j_basis,
    e3j_polynomial,
    power_key,
)
from lammps_mace.models.mlip.interaction import Path, message_paths
from lammps_mace.models.mlip.layer import MaceLayer

ByIrrep = dict[str, np.ndarray]


def matrices(
    params: Mapping[str, Any], source: dict[e3nn.Irrep, int], target: dict[e3nn.Irrep, int]
) -> ByIrrep:
    """Return irrep -> [..., m_in, m_out], scaled, of a linear map; see model.linear.Linear.

    Irreps that source and target do not share are left out.
    """
    out = {}
    for irrep, name in weight_names(source, target).items():
        if irrep in source and irrep in target:
            weight = np.asarray(params[name], np.float64)
            out[str(irrep)] = np.swapaxes(weight, -1, -2) / math.sqrt(source[irrep])
    return out


def square(params: Mapping[str, Any], irreps: e3nn.Irreps, channels: int) -> ByIrrep:
    """Return :func:`matrices` between equal representations of ``channels`` each."""
    same = {ir: channels for _, ir in irreps}
    return matrices(params, same, same)


def skip_matrices(
    params: Mapping[str, Any], source: e3nn.Irreps, target: e3nn.Irreps, channels: int
) -> ByIrrep:
    """Return irrep -> [n_species, channels, channels] of a residual, zero where it has none."""
    found = matrices(params, *({ir: channels for _, ir in irreps} for irreps in (source, target)))
    [shape] = {matrix.shape for matrix in found.values()}
    return {str(ir): found.get(str(ir), np.zeros(shape)) for _, ir in target}


def packed(matrices: Mapping[str, np.ndarray], backend: str) -> dict[str, Matrices]:
    """Return irrep -> matrices as kernels want them, one or n_species of each."""
    return {
        irrep: pack_matrices(matrix.reshape(-1, *matrix.shape[-2:]), backend)
        for irrep, matrix in matrices.items()
    }


def paths_by_target(layer: MaceLayer) -> dict[e3nn.Irrep, list[tuple[int, Path]]]:
    """Return the numbered message paths to each irrep that has any, in the layer's order."""
    paths = message_paths(
        e3nn.Irreps(layer.source_irreps), layer.config.l_max, e3nn.Irreps(layer.message_irreps)
    )
    reached = {ir: [(i, p) for i, p in enumerate(paths) if p.target == ir] for _, ir in
               layer.message_irreps}  # fmt: skip
    return {ir: found for ir, found in reached.items() if found}


def edge_program(layer: MaceLayer, cutoff: float) -> EdgeProgram:
    """Return the edge operation of a layer."""
    by_target = paths_by_target(layer)
    sources = [ir for _, ir in layer.source_irreps]
    targets = list(by_target)
    numbered = sorted((pair for found in by_target.values() for pair in found), key=lambda x: x[0])
    return EdgeProgram(
        source_degrees=tuple(ir.l for ir in sources),
        target_degrees=tuple(ir.l for ir in targets),
        paths=tuple(
            EdgePath(sources.index(p.source), p.degree, targets.index(p.target), p.coefficients)
            for _, p in numbered
        ),
        channels=layer.config.num_channels,
        cutoff=cutoff,
    )


def mix_tables(layer: MaceLayer, params: Mapping[str, Any]) -> list[np.ndarray]:
    """Return per target of the edges [1 or n_species, paths * channels, channels].

    The map after the sums, times the map per species where the layer has no residual. The network
    has the path index fastest, the edge operation the channel.
    """
    channels = layer.config.num_channels
    by_target = paths_by_target(layer)
    source = {ir: channels * len(found) for ir, found in by_target.items()}
    target = {ir: channels for _, ir in layer.message_irreps}
    mixing = matrices(params["interaction_block"]["linear_out"], source, target)
    tables = []
    for irrep, found in by_target.items():
        table = mixing[str(irrep)].reshape(channels, len(found), channels)
        table = table.swapaxes(0, 1).reshape(1, -1, channels)
        if not layer.has_residual:
            by_species = square(params["linear_by_species_block"], layer.message_irreps, channels)
            table = table @ by_species[str(irrep)]
        tables.append(table)
    return tables


def in_radial_basis(
    program: EdgeProgram, coefficients: np.ndarray, sent: np.ndarray, mix: list[np.ndarray]
) -> tuple[EdgeProgram, np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return the first layer's edge operation with fewer channels, as it is if there are none.

    What atoms send depends on their species s alone there. With all radial weights made from few
    functions, R_pc(r) = sum_k u_k(r) g_kpc,

        sum_j R_pc(r_ij) Y(D_ij) h_c(s_j) = sum_sk h_c(s) g_kpc sum_(j of s) u_k(r_ij) Y(D_ij):

    edges need one channel for each s and k only, everything else goes into the map of the sums.

    Args:
        coefficients: [knots + 3, n_paths, channels], of the radial splines.
        sent: [n_species, 1, channels].
        mix: per target [1 or n_species, paths * channels, channels out].

    Returns:
        The four in the new channels.
    """
    knots, n_paths, channels = coefficients.shape
    n_species = len(sent)
    if n_species * BLOCK >= channels:  # nor could they be fewer: the decomposition is spared
        return program, coefficients, sent, mix
    functions, parts = few_functions(coefficients.reshape(knots, -1))
    n_functions = functions.shape[1]
    width = n_species * n_functions
    if width >= channels:
        return program, coefficients, sent, mix
    parts = parts.reshape(n_functions, n_paths, channels)
    narrow = []
    for table, paths in zip(mix, program.paths_to, strict=True):
        by_path = table.reshape(len(table), len(paths), channels, -1)
        of_paths = parts[:, list(paths)]
        made = np.einsum("kpc,sc,ipco->ipsko", of_paths, sent[:, 0], by_path, optimize=True)
        narrow.append(made.reshape(len(table), len(paths) * width, -1))
    which = np.repeat(np.eye(n_species), n_functions, axis=1)[:, None]
    table = np.tile(functions[:, None], (1, n_paths, n_species))
    return replace(program, channels=width), table, which, narrow


def contraction(
    layer: MaceLayer, params: Mapping[str, Any]
) -> tuple[ContractionProgram, np.ndarray]:
    """Return the contraction of a layer and its weights [n_species, n_terms, channels].

    Terms with irreps that no message path reaches are left out: they are zero.
    """
    polynomial, weights = _polynomial(layer, params["symmetric_contraction"])
    rows, dims = _reached_rows(layer)
    monomials = _monomials(polynomial, e3nn.Irreps(layer.message_irreps).dim)
    components, tables = [], []
    for terms in polynomial.components:
        kept: list[tuple[int, ...]] = []
        for term in terms:
            named = [monomials[row] for row in term.monomials]
            use = np.array([all(i in rows for i in m) for m in named], bool)
            kept += [tuple(rows[i] for i in m) for m, one in zip(named, use, strict=True) if one]
            tables.append(np.einsum("tk,skc->stc", term.coefficients[use], weights[term.key]))
        components.append(tuple(kept))
    program = ContractionProgram(dims, tuple(components))
    return program, np.concatenate(tables, axis=1)


def _reached_rows(layer: MaceLayer) -> tuple[dict[int, int], tuple[int, ...]]:
    """Return message component -> row of the contraction's features, and its block sizes."""
    reached, start = paths_by_target(layer), 0
    rows: dict[int, int] = {}
    for _, irrep in layer.message_irreps:
        if irrep in reached:
            rows.update({start + m: len(rows) + m for m in range(irrep.dim)})
        start += irrep.dim
    return rows, tuple(ir.dim for ir in reached)


def _monomials(polynomial: Polynomial, dim: int) -> list[tuple[int, ...]]:
    """Return the factors of every row of a polynomial's monomial table."""
    named: list[tuple[int, ...]] = [(i,) for i in range(dim)]
    for prefixes, lasts in zip(polynomial.prefixes, polynomial.lasts, strict=True):
        named += [(*named[p], int(i)) for p, i in zip(prefixes, lasts, strict=True)]
    return named


def _polynomial(
    layer: MaceLayer, params: Mapping[str, Any]
) -> tuple[Polynomial, dict[str, np.ndarray]]:
    """Return a contraction's polynomial and its weights, key -> [n_species, n, channels]."""
    config = layer.config
    source, target = e3nn.Irreps(layer.message_irreps), e3nn.Irreps(layer.target_irreps)
    if config.symmetric_contraction_backend != "e3j":
        symmetric = config.symmetric_contraction_backend == "e3nn_symmetric"
        polynomial = contraction_polynomial(source, target, config.correlation, symmetric)
        return polynomial, {k: np.asarray(v, np.float64) for k, v in params.items()}
    basis = e3j_basis(source, target, config.correlation)
    sizes = {e3nn.Irrep(*paths.irrep): paths.rows.shape[0] for paths in basis.targets}
    reached = {ir: sizes[ir] for ir in sorted(sizes, key=irrep_order) if sizes[ir]}
    names = weight_names(reached, dict.fromkeys(sizes, 1))
    weights = {}
    for paths in basis.targets:
        irrep = e3nn.Irrep(*paths.irrep)
        if irrep not in reached:
            continue
        weight = np.asarray(params["LinearIndexwise_0"][names[irrep]], np.float64)[:, :, 0]
        for order, columns in enumerate(columns_by_power(basis, paths), start=1):
            weights[power_key(order, paths.irrep)] = weight.swapaxes(1, 2)[:, columns]
    return e3j_polynomial(source, target, config.correlation), weights


def cast(tree: Any, dtype: str) -> Any:
    """Return the arrays of a pytree as JAX arrays of the model's precision."""
    return jax.tree.map(lambda x: jax.numpy.asarray(x, dtype), tree)
