"""Splines of a layer: from the cache folder where they agree with the network, else fitted."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace import __version__
from lammps_mace.kernels import Grid, evaluate_spline, spline_degree
from lammps_mace.lowering import radial_splines
from lammps_mace.lowering.radial_splines import Splines
from lammps_mace.lowering.species_pairs import SpeciesPairs
from lammps_mace.lowering.spline_table import SpoiledTableError, read_table, write_table
from lammps_mace.models.description import RadialWeights
from lammps_mace.runtime.cache import CacheWarning, private_folder
from lammps_mace.runtime.precision import full_precision

_PROBE_STEP = 137  # a table is compared with the network at every so many of a fit's probes
_DOUBT = {"float32": 1e-5, "float64": 1e-9}  # of the largest: more than any fit leaves


@dataclass(frozen=True, eq=False)
class SplineRequest:
    """A request for splines.

    Attributes:
        radial: the weights.
        cutoff: Å.
        pairs: of species that have functions of their own.
        precision: "float32" or "float64", for which they are to be exact enough.
        dtype: of the coefficients.
        most_numbers: how many coefficients there may be.
    """

    radial: RadialWeights
    cutoff: float
    pairs: SpeciesPairs
    precision: str
    dtype: str = "float64"
    most_numbers: int = 2**31


def splines(wanted: SplineRequest) -> Splines | None:
    """Return radial weights as splines of the distance, for each pair of species.

    Returns None where no number of knots is exact enough, or they are too many. Splines are kept
    in the cache folder, because fitting takes a second. A table from there is used if it is whole
    and agrees with the network; else the splines are fitted again, with a CacheWarning.
    """
    folder = private_folder("splines")
    path = None if folder is None else folder / f"{_fingerprint(wanted)}.table"
    if path is not None and (kept := _kept(path, wanted)) is not None:
        return kept
    found = radial_splines.fit(
        wanted.radial, wanted.cutoff, wanted.pairs, wanted.precision, wanted.dtype,
        wanted.most_numbers,
    )  # fmt: skip
    if found is not None and path is not None:
        write_table(path, found.grid.scale, found.coefficients)
    return found


def _fingerprint(wanted: SplineRequest) -> str:
    """Name everything that splines are made from."""
    radial, pairs = wanted.radial, wanted.pairs
    errors = radial_splines.ERRORS[wanted.precision], spline_degree(wanted.precision)
    rules = radial_splines.KNOTS, radial_splines.scales(radial), errors
    limits = wanted.dtype, wanted.most_numbers
    named = __version__, rules, wanted.cutoff, radial.identity, limits
    digest = hashlib.sha256(repr(named).encode())
    for array in jax.tree.leaves(
        (radial.parameters, radial.matrix, (pairs.senders, pairs.receivers))
    ):
        digest.update(repr(np.shape(array)).encode() + np.asarray(array).tobytes())
    return digest.hexdigest()


def _kept(path: Path, wanted: SplineRequest) -> Splines | None:
    """Return the splines in a file; None if there is none, or with a CacheWarning a spoiled one."""
    degree = spline_degree(wanted.precision)
    most = (max(radial_splines.KNOTS) + degree) * len(wanted.pairs) * wanted.radial.matrix.shape[1]
    try:
        scale, coefficients = read_table(path, min(most, wanted.most_numbers))
        return _checked(scale, coefficients, wanted)
    except FileNotFoundError:
        return None
    except SpoiledTableError as error:
        warnings.warn(
            f"{path} is not used, its splines are fitted again: {error}",
            CacheWarning,
            stacklevel=2,
        )
        return None


def _checked(scale: float, coefficients: np.ndarray, wanted: SplineRequest) -> Splines:
    """Return the splines of a table.

    Raises:
        SpoiledTableError: they are not those of these radial weights.
    """
    radial, cutoff = wanted.radial, wanted.cutoff
    n_pairs, n_weights = len(wanted.pairs), radial.matrix.shape[1]
    degree = spline_degree(wanted.precision)
    shapes = [(n_pairs, knots + degree, n_weights) for knots in radial_splines.KNOTS]
    if coefficients.shape not in shapes or coefficients.dtype != wanted.dtype:
        raise SpoiledTableError(
            f"its coefficients are {coefficients.dtype} {list(coefficients.shape)}, not "
            f"{wanted.dtype} [{n_pairs}, knots + {degree}, {n_weights}]"
        )
    if scale not in [part * cutoff for part in radial_splines.scales(radial)]:
        raise SpoiledTableError(f"its scale of the knots is {scale}")
    if not np.isfinite(coefficients).all():
        raise SpoiledTableError("it has coefficients that are not finite")
    found = Splines(Grid(cutoff, coefficients.shape[1] - degree, scale, degree), coefficients)
    probes = radial_splines.probe_distances(cutoff)[::_PROBE_STEP]
    for spline, values in zip(coefficients, _network(radial, probes, wanted.pairs), strict=True):
        kept = evaluate_spline(spline, found.grid, probes)[0]
        error = max(radial_splines.relative_errors(kept, values))
        if error > _DOUBT[wanted.precision]:
            raise SpoiledTableError(f"it differs by {error:.1g} from the radial network")
    return found


def _network(radial: RadialWeights, distances: np.ndarray, pairs: SpeciesPairs) -> np.ndarray:
    """Return the radial weights [n_pairs, n, n_weights] at distances [n], Å."""
    species = (np.repeat(x, len(distances)) for x in (pairs.senders, pairs.receivers))
    with full_precision():
        parameters = jax.tree.map(jnp.asarray, radial.parameters)
        inner = jax.jit(radial.functions)(parameters, np.tile(distances, len(pairs)), *species)
    # In NumPy: the rest is the same program for all layers of a model.
    values = np.asarray(inner) @ radial.matrix
    return values.reshape(len(pairs), len(distances), -1)
