"""The choice of the instruction set, and what is exported for other platforms."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import BACKENDS, PLAIN, edge_case

from lammps_mace.kernels import (
    ContractionOperands,
    ContractionProgram,
    Matrices,
    contract,
    contract_backward,
    edges_backward,
    edges_forward,
    linear,
    native,
    pack_matrices,
)

SHOW = "from lammps_mace.kernels import native; print(native.instruction_set())"


def started_with(value):
    environment = {**os.environ, "LAMMPS_MACE_ISA": value}
    return subprocess.run(
        # -P: the package that is installed, not the sources in the working directory.
        [sys.executable, "-P", "-c", SHOW],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


X86 = platform.machine() == "x86_64"
NAMES = ("sse2", "avx2", "avx512") if X86 else ("neon",)  # on aarch64


def test_the_variable_chooses_the_instruction_set():
    assert native.instruction_sets() == NAMES
    assert started_with(PLAIN).stdout == f"{PLAIN}\n"
    words = f"LAMMPS_MACE_ISA=vax: unknown; there is {', '.join(NAMES)}"
    assert words in started_with("vax").stderr


def test_the_widest_of_this_machine_is_the_default():
    wanted = "neon"
    if X86:
        information = Path("/proc/cpuinfo").read_text()
        flags = re.search(r"^flags\s*: (.*)$", information, re.MULTILINE)[1].split()
        wanted = "avx512" if "avx512bw" in flags else "avx2" if "avx2" in flags else "sse2"
    assert native.instruction_set() == wanted
    assert BACKENDS[-1] == wanted


def test_what_this_machine_lacks_is_refused():
    for isa in set(NAMES) - set(BACKENDS):
        with pytest.raises(native.KernelError, match=f"{isa}: this machine lacks it"):
            native.use_instruction_set(isa)
    with pytest.raises(native.KernelError, match="instruction set mmx: unknown"):
        native.use_instruction_set("mmx")


@pytest.mark.parametrize(("backend", "calls"), [("xla", False), ("cpu", True)])
def test_xla_alone_is_exported_for_gpus(backend, calls):
    case = edge_case(1, 2, 16, (4, 2), dtype="float32")
    program = ContractionProgram((1, 3), (((0,), (1, 1), (2, 2, 3)),))
    channels, filled = case.program.channels, (jnp.int32(0), jnp.int32(2))
    square = np.zeros((1, channels, channels), np.float32)
    matrices = Matrices(*map(jnp.asarray, pack_matrices(square, backend)))

    def everything(radial, vectors, sent, weights):
        edges = case.operands.replace(radial=radial, vectors=vectors, sent=sent)
        sums = edges_forward(case.program, edges, backend=backend)

        def first_path(sums):
            return tuple(block[:, :, :channels] for block in sums[:2])

        blocks, pull = jax.vjp(first_path, sums)
        blocks = linear(blocks, [matrices] * len(blocks), *filled, backend=backend)
        messages = ContractionOperands(blocks, weights, *filled)
        y = contract(program, messages, backend=backend)
        [adjoints] = pull(contract_backward(program, messages, y, backend=backend))
        gradients = case.gradient, case.sent_adjoint
        return edges_backward(case.program, edges, adjoints, *gradients, backend=backend)

    weights = jnp.ones((1, program.n_terms, channels), jnp.float32)
    platforms = ["cuda" if backend == "xla" else "cpu"]
    jitted = jax.jit(everything)
    checks = [
        jax.export.DisabledSafetyCheck.custom_call(f"lammps_mace_{n}") for n in native.TARGETS
    ]
    exported = jax.export.export(jitted, platforms=platforms, disabled_checks=checks)(
        case.radial, case.vectors, case.sent, weights
    )
    assert ("lammps_mace_" in exported.mlir_module()) == calls
