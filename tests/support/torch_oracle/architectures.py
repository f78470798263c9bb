"""Architectures of the models of mace-torch in tests: random ones of a seed, and published ones."""

import dataclasses
import random
from dataclasses import dataclass

PLAIN, RESIDUAL = "RealAgnostic", "RealAgnosticResidual"
DENSITY, DENSITY_RESIDUAL = "RealAgnosticDensity", "RealAgnosticDensityResidual"
NON_LINEAR = "RealAgnosticResidualNonLinear"
_LINEAR = (PLAIN, RESIDUAL, DENSITY, DENSITY_RESIDUAL)


@dataclass(frozen=True)
class Architecture:
    """Everything that decides the shape of a model; its numbers come from ``seed``."""

    name: str
    seed: int = 0
    model: str = "ScaleShiftMACE"
    dtype: str = "float64"
    elements: tuple[int, ...] = (1, 6, 8)
    r_max: float = 4.5
    first: str = RESIDUAL  # interaction of the first layer
    rest: str = RESIDUAL
    layers: int = 2
    channels: int = 8
    hidden_l: int = 1
    odd_scalars: bool = False  # irreps of both parities
    max_ell: int = 2
    correlation: tuple[int, ...] = (2, 2)
    reduced_cg: bool = True
    radial: str = "bessel"
    n_radial: int = 6
    cutoff_p: int = 5
    cutoff_inside: bool = True
    transform: str = "None"
    zbl: bool = False
    radial_mlp: tuple[int, ...] = (16, 16)
    edge_channels: int | None = None
    edge_l: int = 1
    edge_irreps_first: bool = False
    agnostic_product: bool = False
    readout: str = "NonLinear"
    mlp_channels: int = 6
    gate: str = "silu"
    last_readout_only: bool = False
    keep_last_irreps: bool = False
    heads: tuple[str, ...] = ("Default",)
    embedding: bool = False  # of charge and spin
    embedding_readout: bool = False
    lora_rank: int = 0


def by_chance(seed: int) -> Architecture:
    """Return a random architecture; every third one, from seed 2 on, is of MH-1's kind."""
    dice = random.Random(f"mace-torch {seed}")
    non_linear = seed % 3 == 2
    layers = dice.choice((2, 2, 3, 3, 4) if non_linear else (1, 2, 2, 2, 3, 4))
    max_ell = dice.choice((1, 2, 2, 3, 3, 4))
    most = {1: 4, 2: 4, 3: 3, 4: 2}[max_ell]  # coupling tensors of more take minutes
    correlation = [dice.randint(1, most) for _ in range(layers)]
    if dice.random() < 0.6:
        correlation = [correlation[0]] * layers
    elements = tuple(sorted(dice.sample(range(1, 90), dice.randint(1, 5))))
    embedding = dice.random() < 0.25
    model = "MACE" if dice.random() < 0.3 and not non_linear else "ScaleShiftMACE"
    n_heads = 1 if dice.random() < 0.6 else dice.randint(2, 3)
    if model == "MACE" and embedding:  # with more heads mace-torch fails
        n_heads = 1
    edge = dice.random() < (0.8 if non_linear else 0.25)
    hidden_l = min(dice.choice((0, 1, 1, 2, 3)), max_ell)
    return Architecture(
        name=f"chance_{seed}", seed=seed, model=model, elements=elements,
        dtype=dice.choice(("float64", "float64", "float32")),
        r_max=round(dice.uniform(3.5, 5.0), 2),
        first=NON_LINEAR if non_linear else dice.choice(_LINEAR),
        rest=NON_LINEAR if non_linear else dice.choice((RESIDUAL, DENSITY_RESIDUAL, *_LINEAR)),
        layers=layers, channels=dice.choice((4, 6, 8, 12)), hidden_l=hidden_l, max_ell=max_ell,
        correlation=tuple(correlation), reduced_cg=dice.random() < 0.5,
        radial=dice.choice(("bessel", "bessel", "bessel", "gaussian", "chebyshev")),
        n_radial=dice.randint(4, 10), cutoff_p=dice.randint(2, 8),
        cutoff_inside=dice.random() < 0.6,
        transform=dice.choice(("None", "Agnesi", "Agnesi", "Soft")), zbl=dice.random() < 0.4,
        radial_mlp=tuple(dice.choice((8, 16, 24)) for _ in range(dice.randint(1, 3))),
        edge_channels=dice.choice((2, 4, 6)) if edge else None, edge_l=hidden_l,
        edge_irreps_first=edge and dice.random() < 0.5,
        agnostic_product=dice.random() < (0.7 if non_linear else 0.2),
        readout=dice.choice(("NonLinear", "NonLinear", "NonLinearBias")),
        mlp_channels=dice.choice((4, 8)), gate=dice.choice(("silu", "silu", "tanh", "abs", "None")),
        last_readout_only=layers > 1 and dice.random() < (0.5 if non_linear else 0.2),
        keep_last_irreps=layers > 1 and dice.random() < 0.15,
        heads=tuple(f"head_{i}" for i in range(n_heads)) if n_heads > 1 else ("Default",),
        embedding=embedding, embedding_readout=embedding and dice.random() < 0.5,
        lora_rank=2 if dice.random() < 0.15 else 0,
    )  # fmt: skip


_89 = tuple(z for z in range(1, 95) if z not in (84, 85, 86, 87, 88))
_10 = (1, 6, 7, 8, 9, 15, 16, 17, 35, 53)
_MP = Architecture(
    name="mp-0-medium", elements=_89, r_max=6.0, channels=128, hidden_l=1, max_ell=3,
    correlation=(3, 3), n_radial=10, radial_mlp=(64, 64, 64), mlp_channels=16, dtype="float32",
)  # fmt: skip
_DENSITY = dataclasses.replace(
    _MP, name="mpa-0-medium", first=DENSITY, rest=DENSITY_RESIDUAL, transform="Agnesi", zbl=True,
)  # fmt: skip
_OFF = dataclasses.replace(
    _MP, name="off23-medium", elements=_10, r_max=5.0, n_radial=8, dtype="float64"
)
_MH = dataclasses.replace(
    _MP, name="mh-1", first=NON_LINEAR, rest=NON_LINEAR, channels=512, edge_channels=128, edge_l=1,
    agnostic_product=True, cutoff_inside=False, transform="Agnesi", zbl=True,
    last_readout_only=True, readout="NonLinearBias",
    heads=("matpes_r2scan", "mp_pbe_refit_add", "spice_wB97M", "oc20_usemppbe", "omol", "omat_pbe"),
)  # fmt: skip
# Shapes from the papers and the pages of the library; the weights are random.
PUBLISHED = {
    one.name: one
    for one in (
        dataclasses.replace(_MP, name="mp-0-small", hidden_l=0), _MP,
        dataclasses.replace(_MP, name="mp-0-large", hidden_l=2),
        dataclasses.replace(_MP, name="mp-0b-medium", transform="Agnesi", zbl=True),
        _DENSITY,
        dataclasses.replace(_DENSITY, name="omat-0-small", hidden_l=0),
        dataclasses.replace(_DENSITY, name="omat-0-medium"),
        dataclasses.replace(_DENSITY, name="matpes-r2scan-0", zbl=False),
        dataclasses.replace(_OFF, name="off23-small", channels=96, hidden_l=0, r_max=4.5), _OFF,
        dataclasses.replace(_OFF, name="off23-large", channels=192, hidden_l=2),
        dataclasses.replace(
            _OFF, name="ani-cc", elements=(1, 6, 7, 8), channels=192, hidden_l=2, r_max=4.5
        ),
        _MH,
        dataclasses.replace(
            _MH, name="omol-0", channels=1024, heads=("Default",), embedding=True, zbl=False,
        ),
    )
}  # fmt: skip


# For files in tests/data, of older versions.
_SMALL = Architecture(
    name="small", elements=(8, 14), r_max=4.0, channels=2, max_ell=1, n_radial=4, radial_mlp=(6,),
    mlp_channels=2,
)  # fmt: skip
SMALL = {
    one.name: one
    for one in (
        _SMALL,
        dataclasses.replace(
            _SMALL, name="small-density", seed=1, first=DENSITY, rest=DENSITY_RESIDUAL,
            transform="Agnesi", zbl=True, heads=("a", "b"), dtype="float32",
        ),
        dataclasses.replace(
            _SMALL, name="small-non-linear", seed=2, first=NON_LINEAR, rest=NON_LINEAR,
            channels=4, edge_channels=2, transform="Agnesi", cutoff_inside=False,
        ),
    )
}  # fmt: skip
SUITE = tuple(map(by_chance, range(40)))  # what the tests run with


def published(name: str, width: int | None = None) -> Architecture:
    """Return a published shape, scaled to so many channels of its edges if a width is given."""
    full = PUBLISHED[name]
    if width is None:
        return full
    ratio = full.channels // (full.edge_channels or full.channels)
    return dataclasses.replace(
        full, channels=width * ratio, edge_channels=width if full.edge_channels else None
    )
