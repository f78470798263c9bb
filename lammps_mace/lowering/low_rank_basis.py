"""A low-rank basis of radial splines: few functions of which all radial weights are made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lammps_mace.kernels import BLOCK, EdgeProgram

# What is left out: a tenth of what the knots of the splines leave out.
_RANK_ERROR = {"float32": 1e-7, "float64": 1e-12}
# To compare costs: neighbours of an atom, and multiply-adds for each of them and component of the
# harmonics, forward and backward, those for the splines included.
_NEIGHBOURS, _EDGE_WORK = 30, 7
# Numbers that kernels take at once, at most.
_AT_ONCE = {"float32": BLOCK, "float64": BLOCK // 2}


def low_rank_basis(coefficients: np.ndarray, precision: str) -> tuple[np.ndarray, np.ndarray]:
    """Return few splines of which all given ones are combinations.

    Hundreds of smooth functions of one variable, made by one network, differ little: the singular
    values of their coefficients fall by ten for every three.

    Args:
        coefficients: [n, functions].

    Returns:
        [n, few] and [few, functions], whose product is the coefficients, to one in 10^7 of the
        largest, in float64 10^12; few is a multiple of the numbers that kernels take at once.
    """
    _, sizes, parts = np.linalg.svd(coefficients, full_matrices=False)
    n = int(np.count_nonzero(sizes > _RANK_ERROR[precision] * sizes[0]))
    at_once = _AT_ONCE[precision]
    parts = parts[: -(-n // at_once) * at_once]
    return coefficients @ parts.T, parts


def in_low_rank_basis(
    program: EdgeProgram,
    coefficients: np.ndarray,
    sent: np.ndarray,
    mix: list[np.ndarray],
    precision: str,
    backend: str,
) -> tuple[EdgeProgram, np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return the first layer's edge operation with fewer channels, unchanged if that saves none.

    What atoms send depends on their species s alone there. With all radial weights made from few
    functions, R_pc(r) = sum_k u_k(r) g_kpc,

        sum_j R_pc(r_ij) Y(D_ij) h_c(s_j) = sum_sk h_c(s) g_kpc sum_(j of s) u_k(r_ij) Y(D_ij):

    edges need one channel for each k only, with sums over senders of each s apart; everything else
    goes into the map of the sums.

    Args:
        coefficients: [knots + degree, n_paths, channels], of the radial splines.
        sent: [n_species, 1, channels].
        mix: per target [1 or n_species, paths * channels, channels out].
        precision: of the model, "float32" or "float64".
        backend: of the kernels.

    Returns:
        The four in the new channels.
    """
    knots, n_paths, channels = coefficients.shape
    widest = max(table.shape[2] for table in mix)
    passes = _passes(len(sent), backend)

    def work(n: int, passes: int, n_species: int) -> int:  # forward and backward, per component
        return n * (passes * _EDGE_WORK * _NEIGHBOURS + n_species * 2 * widest)

    most = work(channels, 1, 1)
    if work(_AT_ONCE[precision], passes, len(sent)) >= most:  # no need to decompose
        return program, coefficients, sent, mix
    functions, parts = low_rank_basis(coefficients.reshape(knots, -1), precision)
    if work(functions.shape[1], passes, len(sent)) >= most:
        return program, coefficients, sent, mix
    narrow, ones, mix = _in_basis(program, parts, sent, mix)
    return narrow, np.tile(functions[:, None], (1, n_paths, 1)), ones, mix


def _passes(n_species: int, backend: str) -> int:
    """Return how often an edge goes through its functions: for all species where none is apart."""
    return 1 if backend == "cpu" else n_species


def in_function_basis(
    program: EdgeProgram,
    matrix: np.ndarray,
    sent: np.ndarray,
    mix: list[np.ndarray],
    backend: str,
) -> tuple[EdgeProgram, np.ndarray, list[np.ndarray]] | None:
    """Return the same with the functions of a radial network that is evaluated itself, u_k.

    Args:
        matrix: [n_functions, n_paths * channels], g.
        sent, mix, backend: as of :func:`in_low_rank_basis`.

    Returns:
        The operation, what atoms send, and the map; None where fewer operations are done without.
    """
    n_weights = matrix.shape[1]
    components = sum(2 * degree + 1 for degree in program.target_degrees)
    widest = max(table.shape[2] for table in mix)
    passes = _passes(len(sent), backend)
    # Of each function and edge; without, the map of the functions.
    if components * (passes + len(sent) * widest / _NEIGHBOURS) > n_weights:
        return None
    return _in_basis(program, matrix, sent, mix)


def _in_basis(
    program: EdgeProgram, parts: np.ndarray, sent: np.ndarray, mix: list[np.ndarray]
) -> tuple[EdgeProgram, np.ndarray, list[np.ndarray]]:
    """Return the operation, what atoms send, and the map with channels for each k, s apart.

    Args:
        parts: [n_functions, n_paths * channels], g.
    """
    n_species, n_functions, channels = len(sent), len(parts), program.channels
    parts = parts.reshape(n_functions, len(program.paths), channels)
    narrow = []
    for table, paths in zip(mix, program.paths_to, strict=True):
        by_path = table.reshape(len(table), len(paths), channels, -1)
        of_paths = parts[:, list(paths)]
        made = np.einsum("kpc,sc,ipco->ipsko", of_paths, sent[:, 0], by_path, optimize=True)
        narrow.append(made.reshape(len(table), len(paths) * n_species * n_functions, -1))
    ones = np.ones((n_species, 1, n_functions))
    return replace(program, channels=n_functions, kinds=n_species), ones, narrow
