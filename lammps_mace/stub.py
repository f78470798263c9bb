"""The object inside X.model: what LAMMPS unpickles; it holds no weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class UnifiedModel:
    """Points to the sidecars of a model.

    Attributes:
        name: X of X.json and X.safetensors.
        sidecar_sha256: of X.json.
        folder: where they were written; the last place to look.
    """

    name: str
    sidecar_sha256: str
    folder: str
