"""Pairs into the engine's order and gradients back, against NumPy; wrong indices are refused."""

import numpy as np
import pytest
from lammps_mace._pairs import give_gradient, take_pairs

N_LOCAL, N_TOTAL = 5, 7
COUNTS = np.array([3, 0, 4, 2, 1])
OFFSETS = np.concatenate([[0], np.cumsum(COUNTS)])
N_PAIRS = int(OFFSETS[-1])


def arrays(dtype=np.float64, room=N_PAIRS + 2):
    """Return the arguments of take_pairs; atom 0 is not of the model."""
    random = np.random.default_rng(0)
    return {
        "atoms": np.array([3, 1, 4, 2]),
        "offsets": OFFSETS.copy(),
        "senders": random.integers(0, N_TOTAL, N_PAIRS).astype(np.int32),
        "vectors": random.normal(size=(N_PAIRS, 3)),
        "rows": random.permutation(20)[:N_TOTAL].astype(np.int32),
        "species": random.integers(0, 3, N_TOTAL).astype(np.int32),
        "out_vectors": np.full((room, 3), np.nan, dtype),
        "out_senders": np.full(room, -9, np.int32),
        "out_species": np.full(room, -9, np.int32),
    }


def order_of(given):
    return np.concatenate([np.arange(OFFSETS[a], OFFSETS[a + 1]) for a in given["atoms"]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pairs_in_the_order_of_atoms_and_back(dtype):
    given = arrays(dtype)
    order = order_of(given)
    n = take_pairs(**given)
    assert n == len(order) == N_PAIRS - COUNTS[0]
    senders = given["senders"][order]
    assert np.array_equal(given["out_vectors"][:n], -given["vectors"][order].astype(dtype))
    assert np.array_equal(given["out_senders"][:n], given["rows"][senders])
    assert np.array_equal(given["out_species"][:n], given["species"][senders])
    assert np.isnan(given["out_vectors"][n:]).all()
    assert set(given["out_senders"][n:]) == set(given["out_species"][n:]) == {-9}
    back = np.full((N_PAIRS, 3), 7.0)
    give_gradient(given["atoms"], given["offsets"], given["out_vectors"], back)
    assert np.array_equal(back[order], given["vectors"][order].astype(dtype))
    assert np.all(back[: COUNTS[0]] == 7.0)  # another atom's pairs


WRONG = {
    "sender of nobody": ("senders", 5, N_TOTAL, r"senders\[5\] is 7, there are 7 atoms"),
    "negative sender": ("senders", 5, -1, r"senders\[5\] is -1"),
    "atom of nobody": ("atoms", 2, N_LOCAL, r"atoms\[2\] is 5, there are 5 atoms"),
    "negative atom": ("atoms", 2, -1, r"atoms\[2\] is -1"),
    "more pairs than there are": ("offsets", N_LOCAL, N_PAIRS + 1, "no range of 10 pairs"),
    "offsets that fall": ("offsets", 4, 12, "offsets of atom 3 are no range|atom 4 are no range"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_out_of_bounds_is_refused(name):
    argument, index, value, message = WRONG[name]
    given = arrays()
    given[argument][index] = value
    with pytest.raises(ValueError, match=message):
        take_pairs(**given)
    if argument != "senders":
        with pytest.raises(ValueError, match=message):
            give_gradient(
                given["atoms"], given["offsets"], given["out_vectors"], np.zeros((N_PAIRS, 3))
            )


def test_too_little_room_is_refused():
    given = arrays(room=N_PAIRS - COUNTS[0] - 1)
    with pytest.raises(ValueError, match="no room for 7 pairs: 6"):
        take_pairs(**given)
    assert np.isnan(given["out_vectors"]).all()  # nothing was written
    take_pairs(**arrays(room=N_PAIRS - COUNTS[0]))


@pytest.mark.parametrize("argument", ["senders", "vectors", "out_vectors"])
def test_another_type_is_refused(argument):
    given = arrays()
    given[argument] = given[argument].astype(np.float16)
    with pytest.raises((ValueError, TypeError)):
        take_pairs(**given)
