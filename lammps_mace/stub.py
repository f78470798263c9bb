"""The object inside X.model: what LAMMPS unpickles; it holds no weights."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass
class UnifiedModel:
    """Points to the sidecars of a model, and becomes the model when ML-IAP sets ``interface``.

    Attributes:
        name: X of X.json and X.safetensors.
        sidecar_sha256: of X.json.
        folder: where they were written; the last place to look.
    """

    name: str
    sidecar_sha256: str
    folder: str

    @property
    def interface(self) -> Any:
        """What ML-IAP set; AttributeError before."""
        return self.__getattr__("interface")

    @interface.setter
    def interface(self, interface: Any) -> None:
        """Load the model: setting this is the first thing ML-IAP does."""
        # By its name, not by an import statement: model files name this module, so it stands below
        # the coupling. Who only reads a model file then needs nothing of what runs in LAMMPS.
        coupling = importlib.import_module("lammps_mace.coupling.mliap.model")
        self._model = coupling.MLIAPModel(self, interface)

    def __getattr__(self, name: str) -> Any:
        """Offer what ML-IAP reads and calls, once the model is loaded."""
        if name.startswith("_") or "_model" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        return getattr(self._model, name)
