"""The small models of random decks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from small import make_model, write_model

NUMBERS = {"H": 1, "O": 8, "Si": 14, "Cu": 29}
COULOMB = {"use_coulomb_term": True, "predict_partial_charges": True}


@dataclass(frozen=True)
class DeckModel:
    """What a model is made of; ``cutoff`` and ``coulomb_cutoff`` in Å."""

    elements: tuple[str, ...]
    layers: int
    cutoff: float
    dtype: str = "float64"
    coulomb_cutoff: float | None = None

    @property
    def reach(self) -> float:
        return max(self.cutoff, self.coulomb_cutoff or 0.0)

    def write(self, path: Path, seed: int, **info) -> None:
        energies = {NUMBERS[e]: -1.5 * k - 0.5 for k, e in enumerate(self.elements)}
        data = {"atomic_energies_map": energies, "graph_cutoff_angstrom": self.cutoff, **info}
        config, charge = {"num_layers": self.layers}, None
        if self.coulomb_cutoff:
            charge, data["total_charge_set"] = -1, [-1, 0, 1]
            data["long_range_cutoff_angstrom"] = self.coulomb_cutoff
            config |= COULOMB
        write_model(path, make_model(self.dtype, seed, data, charge, **config))


MODELS = {
    "one": DeckModel(("Si",), 1, 5.0),
    "two": DeckModel(("O", "Si"), 2, 4.0),
    "three": DeckModel(("H", "O", "Si"), 2, 3.5),
    "four": DeckModel(("H", "O", "Si", "Cu"), 3, 3.0),
    "charged": DeckModel(("O", "Si"), 2, 4.0, coulomb_cutoff=6.0),
    "single": DeckModel(("H", "O", "Si"), 2, 4.0, "float32"),
}


def write_models(folder: Path) -> None:
    """Write all models as NAME.model."""
    for seed, (name, model) in enumerate(MODELS.items()):
        model.write(folder / f"{name}.model", seed)
