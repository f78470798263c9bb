"""The object inside X.model: what LAMMPS unpickles; it holds no weights."""

from __future__ import annotations

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
        # Not at the top: everything heavy stays out of what only reads a stub.
        from lammps_mace.coupling.mliap.model import MLIAPModel

        self._model = MLIAPModel(self, interface)

    def __getattr__(self, name: str) -> Any:
        """Offer what ML-IAP reads and calls, once the model is loaded."""
        if name.startswith("_") or "_model" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        return getattr(self._model, name)
