"""The two directions of a pair of atoms, in a box where atoms see their own images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import CUTOFF
from small import find_pairs

from lammps_mace.kernels import twins

ATOMS = 30


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def crystal(dtype):
    """Vectors, senders and bounds of the pairs of a box that is shorter than the cutoff."""
    cell = np.diag([0.9, 2.5, 3.0]) * CUTOFF
    positions = np.random.default_rng(3).uniform(size=(ATOMS, 3)) @ cell
    centres, senders, vectors = find_pairs(positions, cell, CUTOFF)
    bounds = np.searchsorted(centres, np.arange(ATOMS + 1))
    return vectors.astype(dtype), senders.astype(np.int32), bounds.astype(np.int32)


def found(vectors, senders, bounds):
    return twins(*map(jnp.asarray, (vectors, senders, bounds)), CUTOFF)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_each_pair_of_atoms_is_kept_once(dtype):
    vectors, senders, bounds = crystal(dtype)
    # Some directions are missing, as where the other atom belongs to another rank.
    ghosts = senders == ATOMS - 1
    rows, kept, n_kept = found(vectors, np.where(ghosts, ATOMS + 4, senders), bounds)
    pairs, n_kept = np.asarray(rows), int(n_kept)
    # The last atom's pairs with others are alone, in both directions; so are those with its images.
    receivers = np.repeat(np.arange(ATOMS), np.diff(bounds))
    alone = ghosts | (receivers == ATOMS - 1)
    assert n_kept == alone.sum() + (~alone).sum() // 2
    assert set(pairs) == set(range(n_kept))
    both = np.bincount(pairs, minlength=n_kept)
    assert set(both) == {1, 2}
    of_rows = np.asarray(kept)[pairs]
    same = np.abs(of_rows - vectors).max(axis=1) == 0.0
    opposite = np.abs(of_rows + vectors).max(axis=1) < 100 * np.finfo(dtype).eps
    assert (same ^ opposite).all()
    assert same.sum() == n_kept


def test_other_distances_between_the_same_atoms_are_no_twins():
    vectors = np.array([[1.0, 0, 0], [2.0, 0, 0], [-2.0, 0, 0], [-1.0, 1e-3, 0]])
    rows, _, n_kept = found(vectors, np.int32([1, 1, 0, 0]), np.int32([0, 2, 4]))
    assert int(n_kept) == 3
    assert np.asarray(rows).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("bounds", [[0, 3], [2, 1, 2], [-1, 2]])
def test_bounds_that_do_not_fit_are_refused(bounds):
    with pytest.raises(Exception, match="the bounds do not fit the pairs"):
        jax.block_until_ready(found(np.zeros((2, 3)), np.zeros(2, np.int32), np.int32(bounds)))
