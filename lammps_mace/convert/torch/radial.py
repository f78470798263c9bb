"""Reads the radial basis and the repulsion of a mace-torch checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from lammps_mace.convert.torch.accounting import Module
from lammps_mace.errors import ConvertError

Arrays = dict[str, np.ndarray]

_BASES = {"BesselBasis": "bessel", "GaussianBasis": "gaussian", "ChebychevBasis": "chebyshev"}
_EARLY_SOFT = "early soft", ("a", "b")
_TRANSFORMS = {
    "AgnesiTransform": ("agnesi", ("q", "p", "a")), "SoftTransform": ("soft", ("alpha",)),
}  # fmt: skip


def read_radial(model: Module, numbers: np.ndarray) -> tuple[dict[str, Any], Arrays]:
    """Return the settings and arrays of the radial basis.

    Args:
        numbers: atomic numbers in species order.
    """
    block = model.module("radial_embedding", "RadialEmbeddingBlock")
    basis = block.module("bessel_fn", *_BASES)
    arrays = _basis(basis)
    orders = _orders(basis)
    functions = orders or arrays.get("roots", arrays.get("centers"))
    cutoff = block.module("cutoff_fn", "PolynomialCutoff")
    arrays |= {"cutoff": cutoff.scalar("r_max"), "p": cutoff.scalar("p")}
    transform = "none"
    if "distance_transform" in block:
        module = block.module("distance_transform", *_TRANSFORMS)
        transform, constants = _TRANSFORMS[module.kind]
        if transform == "soft" and "alpha" not in module:
            transform, constants = _EARLY_SOFT
        arrays |= {f"transform#{key}": module.scalar(key) for key in constants}
        arrays["transform#radii"] = _radii(module, numbers)
    settings = {
        "basis": _BASES[basis.kind],
        "count": len(functions) if functions is not None else 0,
        "orders": orders,
        "transform": transform,
        "cutoff_outside": not block.attribute("apply_cutoff", bool, default=True),
    }
    return settings, {f"radial#{key}": array for key, array in arrays.items()}


def _basis(module: Module) -> Arrays:
    """Return the arrays of a basis."""
    module.ignore("r_max")
    if module.kind == "BesselBasis":
        roots = module.array("bessel_weights", -1)
        return {"roots": roots, "prefactor": module.scalar("prefactor")}
    if module.kind == "GaussianBasis":
        centers = module.array("gaussian_weights", -1)
        return {"centers": centers, "coefficient": np.array(module.number("coeff"))}
    return {}


def _orders(module: Module) -> list[int]:
    """Return the orders of Chebyshev's polynomials; torch rounds them down to whole numbers."""
    if module.kind != "ChebychevBasis":
        return []
    return [int(order) for order in module.array("n", 1, -1)[0]]


def read_repulsion(model: Module, numbers: np.ndarray) -> Arrays:
    """Return the arrays of the ZBL repulsion."""
    module = model.module("pair_repulsion_fn", "ZBLBasis")
    module.ignore("r_max", "cutoff")  # of early versions, which do not use them
    found = {key: module.scalar(key) for key in ("p", "a_exp", "a_prefactor")}
    found |= {"c": module.array("c", 4), "radii": _radii(module, numbers)}
    return {f"pair_repulsion#{key}": array for key, array in found.items()}


def _radii(module: Module, numbers: np.ndarray) -> np.ndarray:
    """Return the covalent radii of the elements; the file has them by atomic number."""
    radii = module.array("covalent_radii", -1)
    if numbers.max() >= len(radii):
        raise ConvertError(f"{module.place}.covalent_radii end before element {numbers.max()}")
    return radii[numbers]
