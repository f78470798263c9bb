"""Placement: which of the machine's devices and how many of its cores a rank gets."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

# Launchers number the ranks of a machine, all worlds of a -partition run together: Hydra (MPICH,
# Intel MPI), Open MPI, PALS (Cray), Slurm. Slurm last: its numbers are those of srun's tasks.
_LOCAL_RANK = (
    "MPI_LOCALRANKID",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "PALS_LOCAL_RANKID",
    "SLURM_LOCALID",
)
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Rank:
    """Where this process stands.

    Attributes:
        index, size: in LAMMPS's communicator.
        device_index: modulo the number of visible devices, the device to take.
        threads: CPU threads that this rank may use.
    """

    index: int = 0
    size: int = 1
    device_index: int = 0
    threads: int = 1


@dataclass(frozen=True)
class Neighbour:
    """A process on this machine: its number there (None: not told), its view of the hardware."""

    local_rank: int | None
    visible: str
    cores: frozenset[int]

    @staticmethod
    def here() -> Neighbour:
        """Return this process."""
        given = (os.environ.get(name, "") for name in _LOCAL_RANK)
        numbers = [int(text) for text in given if text.isdecimal()]
        return Neighbour(
            numbers[0] if numbers else None,
            visible_devices(os.environ),
            frozenset(os.sched_getaffinity(0)),
        )


def visible_devices(environment: Mapping[str, str]) -> str:
    """Return which devices the environment shows, "" where it does not limit them."""
    return next((environment[name] for name in _VISIBLE if environment.get(name)), "")


def find_rank(comm_handle: int | None) -> tuple[Rank, Any]:
    """Return this process's place and mpi4py communicator (None without MPI); collective.

    Args:
        comm_handle: Fortran handle of LAMMPS's communicator.
    """
    here = Neighbour.here()
    if comm_handle is None:
        return Rank(threads=thread_share([here], 0, os.environ)), None
    from mpi4py import MPI

    comm = MPI.Comm.f2py(comm_handle)
    # Not the world of all processes: in a -partition run the others may never come here.
    local = comm.Split_type(MPI.COMM_TYPE_SHARED)
    everyone, me = local.allgather(here), local.rank
    local.Free()
    threads = thread_share(everyone, me, os.environ)
    return Rank(comm.rank, comm.size, device_turn(everyone, me), threads), comm


def device_turn(everyone: Sequence[Neighbour], me: int) -> int:
    """Return whose turn process ``me`` of a machine is when devices are given out.

    Processes that see the same devices take turns; what others see does not matter. The launcher's
    numbers count, so that several worlds on one machine do not all begin with the first device.
    """
    numbers = [one.local_rank for one in everyone]
    told = None not in numbers and len(set(numbers)) == len(numbers)
    same = [i for i, one in enumerate(everyone) if one.visible == everyone[me].visible]
    if told and len(same) == len(everyone):
        return numbers[me] or 0
    return same.index(me)


def thread_share(everyone: Sequence[Neighbour], me: int, environment: Mapping[str, str]) -> int:
    """Return how many threads process ``me`` may use: OMP_NUM_THREADS, or its share of its cores.

    Where mpirun binds processes to cores, their cores are few or their own; else all share all.
    """
    first = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if first.isdecimal() and int(first) > 0:
        return int(first)
    cores = everyone[me].cores
    sharing = sum(bool(one.cores & cores) for one in everyone)
    return max(len(cores) // sharing, 1)


def wants_device_path(device: Any) -> bool:
    """Return whether neighbour lists stay on the device: as LAMMPS_MACE_DEVICE_PATH says, or a GPU.

    Args:
        device: a JAX device.

    Raises:
        ValueError: the variable is neither 0 nor 1.
    """
    wish = os.environ.get("LAMMPS_MACE_DEVICE_PATH", "")
    if wish not in ("", "0", "1"):
        raise ValueError(
            f"LAMMPS_MACE_DEVICE_PATH={wish!r}: set it to 1 (neighbour lists stay on the device), "
            "to 0 (pairs come from the host), or unset it: then it is 1 on a GPU"
        )
    return wish == "1" or (wish == "" and device.platform != "cpu")


@dataclass(frozen=True)
class Place:
    """What one rank reports about itself."""

    rank: int
    host: str
    device: str
    threads: int

    @staticmethod
    def of(rank: Rank, device: Any) -> Place:
        """Return the place of this process.

        Args:
            device: a JAX device.
        """
        alone = device.platform == "cpu" and len(device.client.devices()) == 1
        name = "cpu" if alone else f"{device.platform}:{device.local_hardware_id or device.id}"
        if device.platform != "cpu":
            visible = visible_devices(os.environ)
            name += f" {device.device_kind}" + (f" (sees {visible})" if visible else "")
        return Place(rank.index, socket.gethostname(), name, rank.threads)


def place_table(places: Sequence[Place]) -> str:
    """Return one line per machine: its ranks and their devices."""
    lines = []
    for host in dict.fromkeys(place.host for place in places):
        here = [place for place in places if place.host == host]
        threads = max(place.threads for place in here)
        runs = [list(run) for _, run in groupby(here, key=lambda place: place.device)]
        parts = [f"{_ranks(run)} -> {run[0].device}" for run in runs]
        many = f"{threads} CPU thread{'s' if threads > 1 else ''} each"
        lines.append(f"lammps-mace: {host}: {', '.join(parts)}; {many}")
    return "\n".join(lines)


def _ranks(run: Sequence[Place]) -> str:
    numbers = [place.rank for place in run]
    if len(numbers) == 1:
        return f"rank {numbers[0]}"
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"ranks {numbers[0]}-{numbers[-1]}"
    return "ranks " + " ".join(map(str, numbers))
