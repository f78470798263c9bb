"""What would run on a GPU: every jitted function lowers for CUDA and calls no CPU kernel.

No GPU is needed to lower; that it runs there, and how fast, is not tested.
"""

import jax
import numpy as np
import pytest
from jax import export
from listed import listed_graph
from small import domain_graph, make_model, make_structure

from lammps_mace.engine.device_exchange import pack_rows, unpack_rows
from lammps_mace.engine.device_list import lay_out_list
from lammps_mace.engine.device_pairs import sort_pairs, unsort_gradient
from lammps_mace.engine.engine import EngineOptions
from lammps_mace.engine.interface import NoExchange
from lammps_mace.engine.packed_exchange import add_rows, put_rows
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


def recorded(model, backend=None, on_device=False) -> list[Recorder]:
    """Run a step as on a GPU and return every jitted function of it.

    Args:
        on_device: the neighbour list stays there.
    """
    recorders = []

    def recording(function, *updated):
        recorders.append(Recorder(jitted(function, *updated)))
        return recorders[-1]

    options = EngineOptions(choose_step=lambda fused, stepwise, *_: stepwise, jit=recording)
    engine = build_engine(model, backend=backend, options=options)
    if on_device:
        engine.evaluate_list(listed_graph(make_structure(), wants_virials=True), NoExchange())
    else:
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


def test_a_step_with_the_list_on_a_gpu_is_one_program():
    virials, step = recorded(make_model("float32"), "gpu", on_device=True)
    program = step.program("cuda")
    assert GPU_CALL in program
    assert CPU_KERNEL not in program
    assert "custom_call" not in virials.program("cuda")


def test_passes_with_the_list_on_a_gpu():
    """Of a model with charges, as of ranks that exchange."""
    info = {"total_charge_set": [0], "long_range_cutoff_angstrom": 5.0}
    model = make_model("float32", info=info, use_coulomb_term=True, total_charge=0)
    functions = recorded(model, "gpu", on_device=True)
    assert len(functions) > 4
    assert not any(CPU_KERNEL in function.program("cuda") for function in functions)


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
        lay_out_list: (
            order,
            row_index,
            row_index,
            row_index,
            np.arange(atoms + 1, dtype=np.int32),
        ),
        pack_rows: (features, row_index),
        put_rows: (features[:96], features[:32].reshape(32, 8), 64),
        add_rows: (features, np.zeros((atoms, 8), np.float32), row_index),
        unpack_rows: (features, row_index, np.zeros((atoms, 8), np.float32)),
    }
    for function, arguments in calls.items():
        static = {"dtype": np.dtype("float32")} if function is sort_pairs else {}
        program = export.export(function, platforms=["cuda"])(*arguments, **static).mlir_module()
        assert "func.func public @main" in program
        assert "custom_call" not in program
