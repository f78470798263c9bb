"""JAX for one rank: device, threads, precision, compilation cache; set before JAX starts."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from contextlib import suppress
from typing import Any

from lammps_mace.runtime.cache import private_folder, processor
from lammps_mace.runtime.placement import Rank

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


class NoDeviceError(ValueError):
    """JAX starts on no device; the message says why, and what to do."""


def start_jax(rank: Rank) -> Any:
    """Configure JAX for this rank, the whole of its process, and return its device.

    Raises:
        NoDeviceError: JAX has none.
    """
    device = start_device(rank)
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_default_matmul_precision", "highest")  # no silent tf32
    return device


def start_device(rank: Rank) -> Any:
    """Return this rank's device; the precision that the process computes in stays as it is.

    Raises:
        NoDeviceError: JAX has none.
    """
    # JAX would otherwise reserve most of a GPU that other ranks may share.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    _limit_threads(rank.threads)
    _set_gpu_options()
    _keep_memory()
    _defer("scipy.signal")
    _defer("scipy.spatial")
    import jax

    # Results are waited for at once: a thread of their own, perhaps on another core, costs time.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    _use_cache(jax)
    devices = find_devices()
    return devices[rank.device_index % len(devices)]


def is_only_device(device: Any) -> bool:
    """Return whether JAX computes on this device whatever it is told."""
    import jax

    return jax.devices() == [device]


def find_devices() -> Any:
    """Return JAX's devices of this process.

    Raises:
        NoDeviceError: JAX has none.
    """
    import jax

    try:
        return jax.local_devices()
    except (RuntimeError, AssertionError) as error:  # the latter says nothing
        reason = str(error).split("\n")[0] or "nothing that is installed knows it"
        raise NoDeviceError(
            f"JAX starts on no device with JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')!r} "
            f"({reason}): unset it to take what there is, or install what it names, for NVIDIA "
            "GPUs pip install 'lammps-mace[cuda13]' (or cuda12)"
        ) from error


def _defer(name: str) -> None:
    """Import a module only when something in it is asked for.

    e3nn_jax imports scipy.signal and scipy.spatial for functions that nobody calls here: a third
    of the time that all imports of a rank take.
    """
    if name in sys.modules or not (spec := importlib.util.find_spec(name)) or not spec.loader:
        return
    # Not importlib's LazyLoader: there the import statement itself asks for an attribute.
    module = importlib.util.module_from_spec(spec)
    load = spec.loader.exec_module

    def attribute(wanted: str) -> Any:
        del module.__getattr__
        load(module)
        return getattr(module, wanted)

    module.__getattr__ = attribute  # type: ignore[method-assign]
    sys.modules[name] = module


def _limit_threads(threads: int) -> None:
    # XLA takes all cores of the machine: the thread pools of several ranks would fight for them.
    flags = os.environ.get("XLA_FLAGS", "")
    if threads == 1 and "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    os.environ.setdefault("NPROC", str(threads))


# What may go into CUDA graphs; without the flag XLA leaves out the loops over chunks.
_GRAPHS = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,DYNAMIC_SLICE_FUSION,WHILE,CONDITIONAL"


def _set_gpu_options() -> None:
    """Tell XLA how to compile for a GPU.

    It takes its first choice of matrix products instead of trying many: they are a small part of a
    step, and the trials take minutes before the first. LAMMPS_MACE_GPU_GRAPHS=1 records whole steps
    as CUDA graphs.
    """
    # XLA ends a process that sets what it does not know: nothing is set where no GPU is used.
    if not any(map(importlib.util.find_spec, ("jax_cuda12_plugin", "jax_cuda13_plugin"))):
        return
    given = os.environ.get("XLA_FLAGS", "")
    wanted = {"xla_gpu_autotune_level": "0", "xla_gpu_enable_triton_gemm": "false"}
    if os.environ.get("LAMMPS_MACE_GPU_GRAPHS") == "1":
        wanted |= {"xla_gpu_enable_command_buffer": _GRAPHS, "xla_gpu_graph_min_graph_size": "1"}
    more = [f"--{name}={value}" for name, value in wanted.items() if name not in given]
    os.environ["XLA_FLAGS"] = " ".join([given, *more]).strip()


def _keep_memory() -> None:
    """Let the C library keep freed memory instead of giving it back to the system.

    Every step allocates arrays of the same sizes; fetching their pages from the system each time
    costs 2 to 4 % of a step. See mallopt(3); another C library than glibc has no such function.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            mallopt(parameter, 2**31 - 1)


def _use_cache(jax: Any) -> None:
    import jaxlib

    # A home folder may serve machines of several kinds and several environments.
    versions = f"jax-{jax.__version__}-jaxlib-{jaxlib.__version__}"
    if (folder := private_folder("xla", f"{versions}-{processor()}")) is None:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Also the small programs: a start compiles some thirty, of 20 ms each.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
