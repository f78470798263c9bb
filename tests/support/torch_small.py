"""Small random models of mace-torch, made of their configuration alone: no torch is needed."""

import numpy as np

from lammps_mace.models.model import Model, unflatten
from lammps_mace.models.torch.config import TorchMaceConfig
from lammps_mace.models.torch.shapes import parameter_shapes

RADIAL = {"basis": "bessel", "count": 5, "transform": "none", "cutoff_outside": False}
LAYER = {
    "interaction": "RealAgnosticResidual", "sent": "0e+1o", "sent_channels": 4,
    "messages": "0e+1o", "target": "0e+1o", "radial_widths": [8, 6], "avg_num_neighbors": 7.0,
    "contraction": [[1, 2], [1, 1]],
}  # fmt: skip
LAST = {"target": "0e", "contraction": [[1, 2]]}
DENSITY = {"interaction": "RealAgnosticDensityResidual"}
NON_LINEAR = {
    "interaction": "RealAgnosticResidualNonLinear", "density_widths": [5], "sent_channels": 3,
    "agnostic_product": True,
}  # fmt: skip
CONFIG = {
    "atomic_numbers": [8, 14], "cutoff_angstrom": 3.0, "channels": 4, "max_degree": 1,
    "radial": RADIAL, "scale_shift": True, "heads": ["Default"],
    "readouts": [
        {"layer": 0, "kind": "linear"},
        {"layer": 1, "kind": "non-linear", "width": 3, "gate": "silu"},
    ],
}  # fmt: skip
EMBEDDINGS = [
    {"quantity": "total_charge", "classes": 5, "offset": 2, "width": 3},
    {"quantity": "total_spin", "classes": 4, "offset": 0, "width": 2},
]
TRANSFORM = {"radial": {**RADIAL, "transform": "agnesi", "cutoff_outside": True}}
# Numbers of which a network makes sense only near some value.
_NEAR = {
    "radial#cutoff": 3.0, "radial#p": 5.0, "radial#prefactor": 0.8, "radial#roots": 1.5,
    "radial#transform#q": 0.9, "radial#transform#p": 4.5, "radial#transform#a": 1.1,
    "radial#transform#radii": 1.0, "radial#transform#alpha": 4.0, "radial#transform#b": 3.0,
    "radial#coefficient": -2.0,
    "pair_repulsion#p": 6.0, "pair_repulsion#a_exp": 0.3, "pair_repulsion#a_prefactor": 0.45,
    "pair_repulsion#c": 0.2, "pair_repulsion#radii": 1.1, "alpha": 5.0, "beta": 0.5, "eps": 1e-5,
}  # fmt: skip


def config_of(first=None, rest=None, **changes):
    """Return a configuration of two layers; ``first`` and ``rest`` change these."""
    first = {**LAYER, "sent": "0e", **(first or {})}
    last = {**LAYER, **LAST, **(rest or {})}
    return TorchMaceConfig(**{**CONFIG, "layers": [first, last], **changes})


def make_torch_model(config=None, seed=0, **settings):
    """Return a model with random arrays."""
    config = config or config_of()
    rng = np.random.default_rng(seed)
    settings.setdefault("dtype", "float64")
    if config.embeddings:
        settings = {"total_charge": 1, "total_spin": 2, **settings}
    params = {name: _array(name, shape, rng) for name, shape in parameter_shapes(config).items()}
    return Model(config, None, unflatten(params), **settings)


def _array(name, shape, rng):
    last = name.rpartition("#")[2]
    near = _NEAR.get(name, _NEAR.get(last) if name.startswith("layers_") else None)
    if last == "p":
        return np.array(near)
    if near is not None:
        return near * rng.uniform(0.9, 1.1, shape) * (
            np.arange(1, shape[0] + 1) if last == "roots" else 1.0
        )  # fmt: skip
    width = shape[-2] if len(shape) > 1 else 1
    return rng.normal(size=shape) / np.sqrt(width)
