"""What is compared: architectures, and structures of silicon (and of four elements)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import write

CUTOFF = 5.0  # Å; 28 neighbours in the crystal
LATTICE = 5.43  # Å


@dataclass(frozen=True)
class Architecture:
    """A MACE of two layers, correlation 3, 8 Bessel functions, radial MLP 64-64-64.

    Attributes:
        name: for tables.
        channels, node_symmetry, l_max: of the network.
        elements: atomic numbers.
        published: the shape of this published model of mace-torch instead, with all its elements.
        changes: to that shape, for peers that do not take it as it is.
        head: of it that runs; None: its only one.
        whole: peers take all elements of the model or none.
        dtype: of ours and of symmetrix-xl.
    """

    name: str
    channels: int = 128
    node_symmetry: int = 1
    l_max: int = 3
    elements: tuple[int, ...] = (14,)
    published: str | None = None
    changes: dict[str, object] = field(default_factory=dict)
    head: str | None = None
    whole: bool = False
    dtype: str = "float32"

    @property
    def hidden(self) -> str:
        """The hidden irreps in e3nn's notation."""
        return "+".join(f"{self.channels}x{n}{'eo'[n % 2]}" for n in range(self.node_symmetry + 1))


ARCHITECTURES = (
    Architecture("reference"),
    Architecture("scalars", node_symmetry=0),
    Architecture("up to l=2", node_symmetry=2),
    Architecture("32 channels", channels=32),
    Architecture("four elements", elements=(6, 14, 22, 32)),
    Architecture("mlip default", node_symmetry=3),
)
_FOUR = (6, 14, 22, 32)
PUBLISHED = (
    Architecture("MP-0 medium", published="mp-0-medium"),
    Architecture("MPA-0 medium", published="mpa-0-medium"),
    Architecture("MPA-0 medium, four elements", elements=_FOUR, published="mpa-0-medium"),
    # symmetrix-xl knows neither its readout nor a readout of the last layer alone, and takes
    # float32 for the published file alone.
    Architecture(
        "MH-1, float64",
        published="mh-1",
        head="omat_pbe",
        whole=True,
        dtype="float64",
        changes={"readout": "NonLinear", "last_readout_only": False},
    ),
)


def crystal(architecture: Architecture, cells: int, rattle: float) -> Atoms:
    """Return a shaken diamond crystal of 8 cells^3 atoms, elements at random."""
    atoms = bulk("Si", "diamond", a=LATTICE, cubic=True).repeat(cells)
    atoms.rattle(rattle, seed=1)
    atoms.numbers = np.random.default_rng(0).choice(architecture.elements, len(atoms))
    return atoms


def write_case(folder: Path, architecture: Architecture, cells: int, rattle: float) -> int:
    """Write case.json and case.xyz, all that a peer needs; return the number of atoms."""
    folder.mkdir(parents=True, exist_ok=True)
    atoms = crystal(architecture, cells, rattle)
    write(folder / "case.xyz", atoms, format="extxyz")
    case = {**asdict(architecture), "hidden": architecture.hidden, "cutoff": CUTOFF}
    (folder / "case.json").write_text(json.dumps(case) + "\n")
    return len(atoms)
