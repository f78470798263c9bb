"""The radial basis and the repulsion of a mace-torch checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from lammps_mace.convert.torch.accounting import Module
from lammps_mace.errors import ConvertError

Arrays = dict[str, np.ndarray]

_BASES = {"BesselBasis": "bessel", "GaussianBasis": "gaussian", "ChebychevBasis": "chebyshev"}
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
    arrays, count = _basis(basis)
    cutoff = block.module("cutoff_fn", "PolynomialCutoff")
    arrays |= {"cutoff": cutoff.scalar("r_max"), "p": cutoff.scalar("p")}
    transform = "none"
    if "distance_transform" in block:
        module = block.module("distance_transform", *_TRANSFORMS)
        transform, constants = _TRANSFORMS[module.kind]
        arrays |= {f"transform#{key}": module.scalar(key) for key in constants}
        arrays["transform#radii"] = _radii(module, numbers)
    settings = {
        "basis": _BASES[basis.kind],
        "count": count,
        "transform": transform,
        "cutoff_outside": not block.attribute("apply_cutoff", bool, default=True),
    }
    return settings, {f"radial#{key}": array for key, array in arrays.items()}


def _basis(module: Module) -> tuple[Arrays, int]:
    """Return the arrays of a basis and how many functions it has."""
    module.ignore("r_max")
    if module.kind == "BesselBasis":
        roots = module.array("bessel_weights", -1)
        return {"roots": roots, "prefactor": module.scalar("prefactor")}, len(roots)
    if module.kind == "GaussianBasis":
        centers = module.array("gaussian_weights", -1)
        return {"centers": centers, "coefficient": np.array(module.number("coeff"))}, len(centers)
    orders = module.array("n", 1, -1)[0]
    if orders.tolist() != list(range(1, len(orders) + 1)):
        raise ConvertError(f"{module.place}.n: orders of polynomials other than 1, 2, ...")
    return {}, len(orders)


def read_repulsion(model: Module, numbers: np.ndarray) -> Arrays:
    """Return the arrays of the ZBL repulsion."""
    module = model.module("pair_repulsion_fn", "ZBLBasis")
    found = {key: module.scalar(key) for key in ("p", "a_exp", "a_prefactor")}
    found |= {"c": module.array("c", 4), "radii": _radii(module, numbers)}
    return {f"pair_repulsion#{key}": array for key, array in found.items()}


def _radii(module: Module, numbers: np.ndarray) -> np.ndarray:
    """Return the covalent radii of the elements; the file has them by atomic number."""
    radii = module.array("covalent_radii", -1)
    if numbers.max() >= len(radii):
        raise ConvertError(f"{module.place}.covalent_radii end before element {numbers.max()}")
    return radii[numbers]
