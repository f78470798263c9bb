"""JAX for one rank: device, threads, precision, compilation cache; set before JAX starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Rank:
    """Where this process stands.

    Attributes:
        index, size: in LAMMPS's communicator.
        local_index, local_size: among the ranks that share this machine, all worlds together.
    """

    index: int = 0
    size: int = 1
    local_index: int = 0
    local_size: int = 1


def find_rank(comm_handle: int | None) -> tuple[Rank, Any]:
    """Return this process's place and mpi4py communicator (None without MPI).

    Args:
        comm_handle: Fortran handle of LAMMPS's communicator.
    """
    if comm_handle is None:
        return Rank(), None
    from mpi4py import MPI

    comm = MPI.Comm.f2py(comm_handle)
    # All worlds of a -partition run share the machine's devices: split the world of all.
    local = MPI.COMM_WORLD.Split_type(MPI.COMM_TYPE_SHARED)
    rank = Rank(comm.rank, comm.size, local.rank, local.size)
    local.Free()
    return rank, comm


def cache_folder() -> Path:
    """Return where compiled code is kept: LAMMPS_MACE_CACHE, else the user's cache folder."""
    if folder := os.environ.get("LAMMPS_MACE_CACHE"):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lammps-mace"


def start_jax(rank: Rank) -> Any:
    """Configure JAX for this rank and return its device."""
    # JAX would otherwise reserve most of a GPU that other ranks may share.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if rank.local_size > 1:
        _one_thread()
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_default_matmul_precision", "highest")  # no silent tf32
    _use_cache(jax)
    devices = jax.local_devices()
    return devices[rank.local_index % len(devices)]


def _one_thread() -> None:
    # One rank per core: XLA's thread pools of several ranks would fight for the cores.
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    os.environ.setdefault("NPROC", "1")


def _use_cache(jax: Any) -> None:
    folder = cache_folder() / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # a read-only home: compile at every start
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
