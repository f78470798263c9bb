"""What would run on a GPU: every jitted function lowers for CUDA and calls no CPU kernel.

No GPU is needed to lower; that it runs there, and how fast, is not tested.
"""

import jax
import numpy as np
import pytest
from jax import export
from small import domain_graph, make_model, make_structure

from lammps_mace.engine import device_pairs as device
from lammps_mace.engine.engine import Engine
from lammps_mace.engine.interface import NoExchange
from lammps_mace.engine.loops import Passes
from lammps_mace.kernels import native

CPU_KERNEL = "lammps_mace_"  # start of the names of our custom calls
GPU_CALL = "__gpu$xla.gpu.triton"
CPU_CALLS = [f"{CPU_KERNEL}{name}" for name in native.TARGETS]


class Recorder:
    """A jitted function that remembers its last call."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *args, **kwargs):
        self.call = args, kwargs
        return self.function(*args, **kwargs)

    def program(self, platform: str) -> str:
        """Return the StableHLO of the last call for a platform."""
        args, kwargs = self.call
        # Nothing is compiled, so custom calls of another platform are not looked up.
        calls = [*CPU_CALLS, GPU_CALL]
        checks = [export.DisabledSafetyCheck.custom_call(name) for name in calls]
        return export.export(self.function, platforms=[platform], disabled_checks=checks)(
            *args, **kwargs
        ).mlir_module()


def recorded(engine: Engine) -> list[Recorder]:
    """Run a step as on a GPU and return every jitted function of it."""
    engine._is_whole = False
    passes = engine._passes
    recorders = Passes(*([Recorder(f) for f in each] for each in passes[:2]), Recorder(passes.last))
    engine._passes = recorders
    engine.evaluate(domain_graph(make_structure()), NoExchange())
    return [*recorders.forward, *recorders.backward, recorders.last]


@pytest.mark.parametrize("backend", ["gpu", "xla"])
@pytest.mark.parametrize("config", [{}, {"use_gaunt_tp_message_passing": True}])
def test_no_cpu_kernel_on_a_gpu(config, backend):
    functions = recorded(Engine(make_model("float32", **config), backend=backend))
    assert len(functions) == 3
    for function in functions:
        program = function.program("cuda")
        assert "func.func public @main" in program
        assert CPU_KERNEL not in program
        assert (GPU_CALL in program) == (backend == "gpu" and not config)


def test_the_cpu_engine_would_be_found_out():
    assert jax.default_backend() == "cpu"
    programs = [f.program("cpu") for f in recorded(Engine(make_model("float32")))]
    assert all(CPU_KERNEL in program for program in programs)


def test_arrays_of_lammps_on_a_gpu():
    """The functions that sort pairs and pack rows there lower too."""
    pairs, atoms, rows = 512, 96, 128
    order, places = np.zeros(pairs, np.int32), np.arange(atoms, dtype=np.int32)
    vectors, features = np.zeros((pairs, 3)), np.zeros((rows, 4, 2), np.float32)
    calls = {
        device._sorted: (vectors, order, order, places, places, 500, 400, 10.0),
        device._listed: (vectors, order, 400),
        device._packed: (features, places),
        device._unpacked: (features, places, np.zeros((atoms, 8), np.float32)),
    }
    for function, arguments in calls.items():
        static = {"dtype": np.dtype("float32")} if function is device._sorted else {}
        program = export.export(function, platforms=["cuda"])(*arguments, **static).mlir_module()
        assert "func.func public @main" in program
        assert "custom_call" not in program
