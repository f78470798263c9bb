"""Radial weights of a layer: the radial network itself, or splines fitted to it."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace import __version__
from lammps_mace.config import Activation
from lammps_mace.kernels import BLOCK, evaluate_spline, fit_spline, spline_points
from lammps_mace.model.activation import activation, second_moment_norm
from lammps_mace.model.embedding import radial_embedding
from lammps_mace.modelfile import Model
from lammps_mace.runtime import cache_folder

# The first number of knots is taken for which values and slopes are this exact, relative to the
# largest of the layer: what rounding in float32 does to forces is as large. No more knots than
# needed: in disordered structures the splines of all distances have to stay in the caches.
_KNOTS = (128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
_VALUE_ERROR = 1e-6
_SLOPE_ERROR = 1e-5
# What is left out where few functions make all weights: a tenth of what the knots leave out.
_RANK_ERROR = 1e-7
_PROBES = 2053  # prime: never in step with the knots
_BATCH = 512  # distances at a time, so that one compilation serves all numbers of knots


def layer_kernels(model: Model, index: int) -> list[np.ndarray]:
    """Return the matrices of a layer's radial network, float64, scaled to be applied as they are.

    The last one includes 1 / avg_num_neighbors.
    """
    block = model.params[f"layers_{index}"]["interaction_block"]["radial_mlp"]
    kernels = [np.asarray(block[f"layers_{i}"]["kernel"], np.float64) for i in range(len(block))]
    kernels = [kernel / math.sqrt(kernel.shape[0]) for kernel in kernels]
    kernels[-1] /= model.config.avg_num_neighbors or model.dataset_info.avg_num_neighbors
    return kernels


def radial_network(model: Model, kernels: Any, distances: jax.Array) -> jax.Array:
    """Return the weights [n, paths * channels] at ``distances`` [n], Å.

    In the precision of the distances, with the normalisation of the model's: see
    :func:`lammps_mace.model.activation.second_moment_norm`.
    """
    act = activation(name := Activation(model.config.radial_mlp_activation))
    norm = second_moment_norm(name, model.dtype)
    x = radial_embedding(model.config, model.dataset_info, distances)
    for i, kernel in enumerate(kernels):
        x = (act(x) / norm if i else x) @ kernel
    return x


def splines(model: Model, index: int) -> np.ndarray | None:
    """Return coefficients [knots + 3, paths * channels], float64, of a layer's radial weights.

    None where no number of knots is exact enough. Kept in the cache folder: fitting takes a second.
    """
    path = cache_folder() / "splines" / f"{_fingerprint(model, index)}.npy"
    try:
        return np.load(path)
    except (OSError, ValueError, EOFError):  # not there, or not whole
        coefficients = _fit(model, index)
    if coefficients is not None:
        _keep(path, coefficients)
    return coefficients


def few_functions(coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return few splines of which all given ones are combinations.

    Hundreds of smooth functions of one variable, made by one network, differ little: the singular
    values of their coefficients fall by ten for every three.

    Args:
        coefficients: [n, functions].

    Returns:
        [n, few] and [few, functions], whose product is the coefficients, to one in 10^7 of the
        largest; few is a multiple of the channels that kernels take at once.
    """
    _, sizes, parts = np.linalg.svd(coefficients, full_matrices=False)
    n = int(np.count_nonzero(sizes > _RANK_ERROR * sizes[0]))
    parts = parts[: -(-n // BLOCK) * BLOCK]
    return coefficients @ parts.T, parts


def _fingerprint(model: Model, index: int) -> str:
    """Name everything that the splines of a layer are made from."""
    settings = model.config.model_dump(mode="json"), model.dataset_info.model_dump(mode="json")
    rules = _KNOTS, _VALUE_ERROR, _SLOPE_ERROR
    digest = hashlib.sha256(repr((__version__, rules, model.dtype, settings)).encode())
    for kernel in layer_kernels(model, index):
        digest.update(kernel.tobytes())
    return digest.hexdigest()


def _keep(path: Path, coefficients: np.ndarray) -> None:
    # Under another name first: ranks may write the same file at the same time.
    part = path.with_name(f"{path.stem}.{os.getpid()}.part.npy")
    with suppress(OSError):  # a read-only or full disk: fit again next time
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(part, coefficients)
        part.replace(path)


def _fit(model: Model, index: int) -> np.ndarray | None:
    cutoff = model.dataset_info.graph_cutoff_angstrom
    sample = _sampler(model, index)
    probes = (np.arange(_PROBES) + 0.5) * cutoff / _PROBES
    exact = sample(probes)
    for knots in _KNOTS:
        coefficients = fit_spline(sample(spline_points(cutoff, knots))[0], cutoff)
        fitted = evaluate_spline(coefficients, cutoff, probes)
        value_error, slope_error = map(_relative_error, fitted, exact)
        if value_error < _VALUE_ERROR and slope_error < _SLOPE_ERROR:
            return coefficients
    return None


def _relative_error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(found - exact).max() / max(np.abs(exact).max(), 1e-300))


def _sampler(model: Model, index: int) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return the function distances [n], Å -> values and slopes [n, paths * channels], float64."""
    kernels = layer_kernels(model, index)

    def at(r: jax.Array) -> jax.Array:
        return radial_network(model, [jnp.asarray(k) for k in kernels], r)

    @jax.jit
    def batch(r: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.jvp(at, (r,), (jnp.ones_like(r),))

    def sample(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        padded = np.resize(distances, -(-len(distances) // _BATCH) * _BATCH)
        with jax.enable_x64(True), jax.default_matmul_precision("highest"):
            found = [batch(jnp.asarray(r, jnp.float64)) for r in padded.reshape(-1, _BATCH)]
        values, slopes = (np.concatenate(x)[: len(distances)] for x in zip(*found, strict=True))
        return values, slopes

    return sample
