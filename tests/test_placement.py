"""Which device and how many threads a rank gets, for every way of starting it."""

from types import SimpleNamespace

import pytest

from lammps_mace.runtime.placement import (
    Neighbour,
    Place,
    Rank,
    device_turn,
    find_rank,
    place_table,
    thread_share,
)

ALL = frozenset(range(8))


def machine(numbers, visible=("",), cores=(ALL,)):
    """Return the processes of one machine; short lists are repeated."""
    return [
        Neighbour(number, visible[i % len(visible)], cores[i % len(cores)])
        for i, number in enumerate(numbers)
    ]


def turns(everyone):
    return [device_turn(everyone, me) for me in range(len(everyone))]


# processes -> whose turn each is; the device is that modulo the number of visible devices.
TURNS = {
    "mpirun": (machine([0, 1, 2, 3]), [0, 1, 2, 3]),
    "second world of a -partition run": (machine([2, 3]), [2, 3]),
    "numbers not told": (machine([None, None, None]), [0, 1, 2]),
    "srun's number of the one task that started mpirun": (machine([0, 0, 0]), [0, 1, 2]),
    "each sees one device": (machine([0, 1, 2], visible=("0", "1", "2")), [0, 0, 0]),
    "each pair sees two devices": (
        [*machine([0, 1], visible=("0,1",)), *machine([2, 3], visible=("2,3",))],
        [0, 1, 0, 1],
    ),
}


@pytest.mark.parametrize("name", TURNS)
def test_device_turns(name):
    everyone, expected = TURNS[name]
    assert turns(everyone) == expected


@pytest.mark.parametrize(
    ("everyone", "environment", "threads"),
    [
        (machine([0]), {}, 8),
        (machine([0, 1, 2]), {}, 2),
        (machine(range(16)), {}, 1),
        (machine([0, 1], cores=(frozenset({0, 1}), frozenset({2, 3}))), {}, 2),  # bound to cores
        (machine([0, 1]), {"OMP_NUM_THREADS": "3,2"}, 3),
        (machine([0, 1]), {"OMP_NUM_THREADS": "many"}, 4),
        (machine([0, 1]), {"OMP_NUM_THREADS": "0"}, 4),
    ],
)
def test_threads(everyone, environment, threads):
    assert thread_share(everyone, 0, environment) == threads


def test_launchers_numbers_and_views(monkeypatch):
    monkeypatch.delenv("MPI_LOCALRANKID", raising=False)
    monkeypatch.setenv("SLURM_LOCALID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert Neighbour.here().local_rank == 7
    assert Neighbour.here().visible == "3"
    monkeypatch.setenv("MPI_LOCALRANKID", "1")
    assert Neighbour.here().local_rank == 1


def test_without_mpi(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert find_rank(None) == (Rank(threads=2), None)


def test_table():
    places = [
        Place(0, "a", "cuda:0", 1),
        Place(1, "a", "cuda:0", 1),
        Place(2, "a", "cuda:1", 1),
        Place(3, "b", "cpu", 4),
        Place(5, "b", "cpu", 4),
    ]
    assert place_table(places).splitlines() == [
        "lammps-mace: a: ranks 0-1 -> cuda:0, rank 2 -> cuda:1; 1 CPU thread each",
        "lammps-mace: b: ranks 3 5 -> cpu; 4 CPU threads each",
    ]


def test_name_of_a_gpu(monkeypatch):
    gpu = SimpleNamespace(platform="cuda", id=0, local_hardware_id=0, device_kind="H100")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert Place.of(Rank(), gpu).device == "cuda:0 H100 (sees 3)"
