"""The gate of the non-linear interaction: e3nn's up to mace-torch 0.3.15, then the library's."""

from __future__ import annotations

from lammps_mace.convert.torch.accounting import Module
from lammps_mace.convert.torch.maps import Matrices, channels_of, normalized_function
from lammps_mace.convert.torch.records import irreps
from lammps_mace.errors import ConvertError


def fold_gate(module: Module, after: Matrices, messages: str) -> Matrices:
    """Return the map after the gate, multiplied by the factors of the gate's activations.

    Args:
        module: the interaction.
        after: matrices of that map.
        messages: irreps that the gate must return.

    Raises:
        ConvertError: the gate is another than silu of the scalars and sigmoid of the gates.
    """
    gate = module.module("equivariant_nonlin", "GatedEquivariantBlock", "Gate")
    read = _library_gate if gate.kind == "GatedEquivariantBlock" else _e3nn_gate
    (scalar, scalar_factor), (other, gate_factor) = read(gate)
    keys = "irreps_scalars", "irreps_gated"
    parts = [part for key in keys for part in irreps(gate.attribute(key, object))]
    if channels_of(gate.place, parts)[1] != messages:
        raise ConvertError(f"{gate.place} returns other irreps than {messages}")
    has_gated = len(parts) > 1
    if scalar != "silu" or (other != "sigmoid" and has_gated):
        raise ConvertError(
            f"{gate.place} has {scalar} and {other}; lammps-mace knows silu and sigmoid"
        )
    factors = {irrep: scalar_factor if irrep == "0e" else gate_factor for irrep in after}
    return {irrep: matrix * factors[irrep] for irrep, matrix in after.items()}


def _library_gate(gate: Module) -> tuple[tuple[str, float], tuple[str, float]]:
    if gate.attribute("_layout_is_ir_mul", bool, default=False):
        raise ConvertError(
            f"{gate.place} has the layout of cuEquivariance; convert the model with "
            "mace_cueq_to_e3nn first"
        )
    return (
        (gate.function("_act_scalar"), gate.number("_scalar_cst")),
        (gate.function("_act_gate"), gate.number("_gate_cst")),
    )


def _e3nn_gate(gate: Module) -> tuple[tuple[str, float], tuple[str, float]]:
    gate.ignore("sc", "mul")
    found = []
    for key in ("act_scalars", "act_gates"):
        activation = gate.module(key, "Activation")
        acts = activation.module("acts", "ModuleList")
        each = {normalized_function(acts, name) for name in acts.record.modules}
        if len(each) > 1:
            raise ConvertError(f"{gate.place} has several activations")
        found.append(each.pop() if each else ("none", 1.0))
    return found[0], found[1]
