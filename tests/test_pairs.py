"""Pairs from a list, into the engine's order and back, against NumPy; wrong indices are refused."""

import numpy as np
import pytest
from lammps_mace._pairs import (
    bound_pairs,
    give_energies,
    give_gradient,
    near_pairs,
    sum_pairs,
    take_pairs,
)

N_LOCAL, N_TOTAL = 5, 7
COUNTS = np.array([3, 0, 4, 2, 1])
OFFSETS = np.concatenate([[0], np.cumsum(COUNTS)])
N_PAIRS = int(OFFSETS[-1])


def arrays(dtype=np.float64, capacity=N_PAIRS + 2):
    """Return the arguments of take_pairs; atom 0 is not of the model."""
    random = np.random.default_rng(0)
    return {
        "atoms": np.array([3, 1, 4, 2]),
        "offsets": OFFSETS.copy(),
        "senders": random.integers(0, N_TOTAL, N_PAIRS).astype(np.int32),
        "vectors": random.normal(size=(N_PAIRS, 3)),
        "rows": random.permutation(20)[:N_TOTAL].astype(np.int32),
        "species": random.integers(0, 3, N_TOTAL).astype(np.int32),
        "far": 9.0,
        "out_vectors": np.full((capacity, 3), np.nan, dtype),
        "out_senders": np.full(capacity, -9, np.int32),
        "out_species": np.full(capacity, -9, np.int32),
    }


def order_of(given):
    return np.concatenate([np.arange(OFFSETS[a], OFFSETS[a + 1]) for a in given["atoms"]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pairs_in_the_order_of_atoms_and_back(dtype):
    given = arrays(dtype)
    order = order_of(given)
    take_pairs(**given)
    n = len(order)
    assert n == N_PAIRS - COUNTS[0]
    senders = given["senders"][order]
    assert np.array_equal(given["out_vectors"][:n], -given["vectors"][order].astype(dtype))
    assert np.array_equal(given["out_senders"][:n], given["rows"][senders])
    assert np.array_equal(given["out_species"][:n], given["species"][senders])
    assert np.array_equal(given["out_vectors"][n:], [[9.0, 0.0, 0.0]] * 5)
    assert set(given["out_senders"][n:]) == set(given["out_species"][n:]) == {0}
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
    given = arrays(capacity=N_PAIRS - COUNTS[0] - 1)
    with pytest.raises(ValueError, match="7 pairs, more than the capacity of 6"):
        take_pairs(**given)
    assert np.isnan(given["out_vectors"]).all()  # nothing was written
    take_pairs(**arrays(capacity=N_PAIRS - COUNTS[0]))


@pytest.mark.parametrize("argument", ["senders", "vectors", "out_vectors"])
def test_another_type_is_refused(argument):
    given = arrays()
    given[argument] = given[argument].astype(np.float16)
    with pytest.raises((ValueError, TypeError)):
        take_pairs(**given)


def bounds_of(n_slots=7, **changed):
    """Return the most pairs of a chunk, and the bounds; atom 0 is not of the model."""
    given = {"atoms": np.array([1, 2, 3, 4]), "slots": np.array([0, 1, 4, 5])}
    given |= {"offsets": OFFSETS.copy(), "chunk_slots": 2} | changed
    bounds = np.full(n_slots + 1, -9, np.int32)
    return bound_pairs(**given, bounds=bounds), list(bounds)


def test_bounds_of_slots():
    """Slots 2, 3 and 6 are empty."""
    most, bounds = bounds_of()
    assert bounds == [0, *np.cumsum([0, 4, 0, 0, 2, 1, 0])]
    assert most == 4
    assert bounds_of(chunk_slots=6)[0] == 7
    nobody = np.zeros(0, int)
    assert bounds_of(atoms=nobody, slots=nobody) == (0, [0] * 8)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"atoms": np.array([1, 2, 3, 5])}, r"atoms\[3\] is 5, there are 5 atoms"),
        ({"offsets": np.append(OFFSETS[:-1], 2**31)}, "offsets of atom 4"),
        ({"slots": np.array([0, 1, 4, 7])}, r"slots\[3\] is 7, not between 5 and 7"),
        ({"slots": np.array([0, 0, 4, 5])}, r"slots\[1\] is 0, not between 1 and 7"),
        ({"slots": np.array([0, 1])}, "2 slots for 4 atoms"),
        ({"chunk_slots": 0}, "0 in a chunk"),
    ],
)
def test_wrong_slots_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        bounds_of(**wrong)


def listed():
    """Return the arguments of near_pairs; half of the pairs are near."""
    random = np.random.default_rng(1)
    return {
        "listed_offsets": OFFSETS.copy(),
        "listed_senders": random.integers(0, N_LOCAL, N_PAIRS).astype(np.int32),
        "shifts": random.normal(size=(N_PAIRS, 3)),
        "positions": random.normal(size=(N_LOCAL, 3)),
        "cutoff": 2.5,
        "offsets": np.full(N_LOCAL + 1, -9),
        "senders": np.full(N_PAIRS, -9, np.int32),
        "vectors": np.full((N_PAIRS, 3), np.nan),
    }


def test_near_pairs_of_a_list():
    given = listed()
    receivers = np.repeat(np.arange(N_LOCAL), COUNTS)
    positions, senders = given["positions"], given["listed_senders"]
    vectors = positions[senders] - positions[receivers] + given["shifts"]
    near = np.linalg.norm(vectors, axis=1) < given["cutoff"]
    n = near_pairs(**given)
    assert 0 < n == near.sum() < N_PAIRS
    assert np.array_equal(np.diff(given["offsets"]), np.bincount(receivers[near], minlength=5))
    assert np.array_equal(given["senders"][:n], senders[near])
    np.testing.assert_allclose(given["vectors"][:n], vectors[near], atol=1e-15)


def test_forces_and_virial_of_pairs():
    given = listed()
    senders, vectors = given["listed_senders"], given["shifts"]
    gradient = np.random.default_rng(2).normal(size=(N_PAIRS, 3))
    forces, virial = np.ones((N_LOCAL, 3)), np.ones((3, 3))
    sum_pairs(OFFSETS, senders, vectors, gradient, forces, virial)
    expected = np.ones((N_LOCAL, 3))
    np.add.at(expected, np.repeat(np.arange(N_LOCAL), COUNTS), gradient)
    np.subtract.at(expected, senders, gradient)
    np.testing.assert_allclose(forces, expected, atol=1e-14)
    np.testing.assert_allclose(virial, 1 - gradient.T @ vectors, atol=1e-14)
    for argument, index, value, words in (
        (OFFSETS.copy(), N_LOCAL, N_PAIRS + 1, "offsets of atom 4 are no range of 10 pairs"),
        (senders.copy(), 5, N_LOCAL, r"senders\[5\] is 5, there are 5 atoms"),
    ):
        argument[index] = value
        arrays = (argument, senders) if len(argument) == len(OFFSETS) else (OFFSETS, argument)
        with pytest.raises(ValueError, match=words):
            sum_pairs(*arrays, vectors, gradient, forces, virial)
    with pytest.raises(ValueError, match="arrays of pairs, or of atoms, of different lengths"):
        sum_pairs(OFFSETS, senders, vectors[1:], gradient, forces, virial)


WRONG_LISTS = {
    "sender of nobody": ("listed_senders", 5, N_LOCAL, r"senders\[5\] is 5, there are 5 atoms"),
    "negative sender": ("listed_senders", 5, -1, r"senders\[5\] is -1, there are 5 atoms"),
    "more pairs than there are": ("listed_offsets", N_LOCAL, N_PAIRS + 1, "atom 4 are no range"),
    "negative offset": ("listed_offsets", 0, -1, "offsets of atom 0 are no range of 10 pairs"),
    "offsets that fall": ("listed_offsets", 4, 12, "offsets of atom 3 are no range of 10 pairs"),
}


@pytest.mark.parametrize("name", WRONG_LISTS)
def test_wrong_lists_are_refused(name):
    argument, index, value, message = WRONG_LISTS[name]
    given = listed()
    given[argument][index] = value
    with pytest.raises(ValueError, match=message):
        near_pairs(**given)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("senders", "10 pairs, more than there is room for"),
        ("vectors", "10 pairs, more than there is room for"),
        ("listed_senders", "arrays of pairs, or of atoms, of different lengths"),
        ("offsets", "arrays of pairs, or of atoms, of different lengths"),
    ],
)
def test_lists_that_do_not_fit_are_refused(argument, words):
    given = listed()
    given[argument] = given[argument][1:]
    with pytest.raises(ValueError, match=words):
        near_pairs(**given)


def test_atoms_in_one_place_are_refused():
    given = listed()
    given["positions"][:] = 0.0
    given["shifts"][6] = 0.0
    words = f"atoms: 2 and {given['listed_senders'][6]} are in one place"
    with pytest.raises(ValueError, match=words):
        near_pairs(**given)


def energies(**changed):
    """Return what give_energies writes for three atoms, the second of which is no part."""
    given = {
        "atoms": np.array([0, 2]), "slots": np.array([3, 1]),
        "outputs": np.arange(8, dtype=np.float32).reshape(4, 2),
        "species": np.array([1, -1, 0], np.int32), "shifts": np.array([0.25, -3.0, 0.0]),
        "scale": 2.0, "out": np.full(3, np.nan),
    } | changed  # fmt: skip
    give_energies(*given.values())
    return given["out"]


@pytest.mark.parametrize("kind", [np.asarray, memoryview])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_energies_of_atoms(kind, dtype):
    outputs = np.array([[1, 9], [2.5, 9], [3, 9], [7, 9]], dtype)
    assert energies(outputs=kind(outputs)).tolist() == [2 * 7 - 3, 0, 2 * 2.5 + 0.25]


@pytest.mark.parametrize(
    ("argument", "value", "words"),
    [
        ("atoms", np.array([0, 3]), r"atoms\[1\] is 3"),
        ("slots", np.array([4, 1]), r"slots\[0\] is 4"),
        ("species", np.array([3, -1, 0], np.int32), r"species\[0\] is 3, there are 3"),
        ("species", np.array([-1, -1, 0], np.int32), r"species\[0\] is -1, there are 3"),
        ("slots", np.array([1]), "different lengths"),
        ("outputs", np.zeros((4, 0), np.float32), "different lengths"),
        ("out", np.zeros(2), "different lengths"),
    ],
)
def test_energies_of_no_atom_are_refused(argument, value, words):
    with pytest.raises(ValueError, match=words):
        energies(**{argument: value})
