"""What would run on a GPU: every jitted function lowers for CUDA and calls no CPU kernel.

No GPU is needed to lower; that it runs there, and how fast, is not tested.
"""

import jax
import numpy as np
import pytest
from jax import export
from small import domain_graph, make_model, make_structure

from lammps_mace.engine.device_exchange import pack_rows, unpack_rows
from lammps_mace.engine.device_pairs import sort_pairs, unsort_gradient
from lammps_mace.engine.engine import EngineOptions
from lammps_mace.engine.interface import NoExchange
from lammps_mace.engine.passes import jitted
from lammps_mace.kernels import native
from lammps_mace.lowering.build import build_engine

CPU_KERNEL = "lammps_mace_"  # start of the names of our custom calls
GPU_CALL = "__gpu$xla.gpu.triton"
CPU_CALLS = [f"{CPU_KERNEL}{name}" for name in native.TARGETS]


class Recorder:
    """A jitted function that remembers its last call."""

    def __init__(self, function):
        self.function, self.call = function, None

    def __call__(self, *args, **kwargs):
        self.call = args, kwargs
        return self.function(*args, **kwargs)

    def _cache_size(self) -> int:
        return self.function._cache_size()

    def program(self, platform: str) -> str:
        """Return the StableHLO of the last call for a platform."""
        args, kwargs = self.call
        # Nothing is compiled, so custom calls of another platform are not looked up.
        calls = [*CPU_CALLS, GPU_CALL]
        checks = [export.DisabledSafetyCheck.custom_call(name) for name in calls]
        return export.export(self.function, platforms=[platform], disabled_checks=checks)(
            *args, **kwargs
        ).mlir_module()


def recorded(model, backend=None) -> list[Recorder]:
    """Run a step as on a GPU and return every jitted function of it."""
    recorders = []

    def recording(function, *updated):
        recorders.append(Recorder(jitted(function, *updated)))
        return recorders[-1]

    options = EngineOptions(choose_step=lambda fused, stepwise, *_: stepwise, jit=recording)
    engine = build_engine(model, backend=backend, options=options)
    engine.evaluate(domain_graph(make_structure()), NoExchange())
    return [recorder for recorder in recorders if recorder.call]


GAUNT = {
    "symmetric_contraction_backend": "gaunt_tp",
    "use_gaunt_tp_message_passing": True,
    "correlation": 3,
}


@pytest.mark.parametrize("backend", ["gpu", "xla"])
@pytest.mark.parametrize("config", [{}, GAUNT], ids=["Clebsch-Gordan", "Gaunt"])
def test_no_cpu_kernel_on_a_gpu(config, backend):
    functions = recorded(make_model("float32", **config), backend)
    assert len(functions) == 3
    for function in functions:
        program = function.program("cuda")
        assert "func.func public @main" in program
        assert CPU_KERNEL not in program
        assert (GPU_CALL in program) == (backend == "gpu")


def test_the_cpu_engine_would_be_found_out():
    assert jax.default_backend() == "cpu"
    programs = [f.program("cpu") for f in recorded(make_model("float32"))]
    assert all(CPU_KERNEL in program for program in programs)


def test_arrays_of_lammps_on_a_gpu():
    """The functions that sort pairs and pack rows there lower too."""
    pairs, atoms, rows = 512, 96, 128
    order, row_index = np.zeros(pairs, np.int32), np.arange(atoms, dtype=np.int32)
    vectors, features = np.zeros((pairs, 3)), np.zeros((rows, 4, 2), np.float32)
    calls = {
        sort_pairs: (vectors, order, order, row_index, row_index, 500, 400, 10.0),
        unsort_gradient: (vectors, order, 400),
        pack_rows: (features, row_index),
        unpack_rows: (features, row_index, np.zeros((atoms, 8), np.float32)),
    }
    for function, arguments in calls.items():
        static = {"dtype": np.dtype("float32")} if function is sort_pairs else {}
        program = export.export(function, platforms=["cuda"])(*arguments, **static).mlir_module()
        assert "func.func public @main" in program
        assert "custom_call" not in program
