"""The operations in which a MACE model spends its time, for every kind of device.

Each is there in plain XLA and in C++ for CPUs, and those that need it in Pallas for GPUs.
"""

from lammps_mace.kernels.contraction import (
    ContractionOperands,
    ContractionProgram,
    contract,
    contract_backward,
)
from lammps_mace.kernels.edges import (
    BLOCK,
    EdgeFunctions,
    EdgeOperands,
    EdgePath,
    EdgeProgram,
    Radial,
    Spline,
    edges_backward,
    edges_forward,
    pack_map,
    pack_spline,
)
from lammps_mace.kernels.ghost_exchange_call import NO_EXCHANGE_HANDLE, ghost_exchange, read_timings
from lammps_mace.kernels.linear import Matrices, linear, pack_matrices
from lammps_mace.kernels.order import serialize_after
from lammps_mace.kernels.radial import BesselBasis, RadialInputs, pack_layers, radial_network
from lammps_mace.kernels.spline import Grid, evaluate_spline, fit_spline, spline_degree
from lammps_mace.kernels.spline_place import spline_rows
from lammps_mace.kernels.twins import Twins, twins

__all__ = [
    "BLOCK",
    "NO_EXCHANGE_HANDLE",
    "BesselBasis",
    "ContractionOperands",
    "ContractionProgram",
    "EdgeFunctions",
    "EdgeOperands",
    "EdgePath",
    "EdgeProgram",
    "Grid",
    "Matrices",
    "Radial",
    "RadialInputs",
    "Spline",
    "Twins",
    "contract",
    "contract_backward",
    "edges_backward",
    "edges_forward",
    "evaluate_spline",
    "fit_spline",
    "ghost_exchange",
    "linear",
    "pack_layers",
    "pack_map",
    "pack_matrices",
    "pack_spline",
    "radial_network",
    "read_timings",
    "serialize_after",
    "spline_degree",
    "spline_rows",
    "twins",
]
