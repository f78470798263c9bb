"""EngineOfUsedElements: an engine that knows the elements of the atoms it has seen, no others.

ML-IAP does not tell which elements ``pair_coeff`` names, and ASE not which atoms will come. A model
knows up to 89 elements; those that no atom is of must cost neither memory nor time at the start.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lammps_mace.engine.engine import Engine
from lammps_mace.engine.interface import DomainGraph, Exchange, Prediction
from lammps_mace.lowering.build import build_engine
from lammps_mace.models import families
from lammps_mace.models.model import Model


class EngineOfUsedElements:
    """Evaluates graphs whose species are those of the whole model.

    Args:
        model: with all its elements.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._known: set[int] = set()
        self._engine: Engine | None = None
        self._rows = np.zeros(0, np.int32)
        self._last = b"", np.zeros(0, np.int32)  # of the last graph, and those of the engine

    def evaluate(self, graph: DomainGraph, exchange: Exchange) -> Prediction:
        """Return what the model says of a graph; the first of new elements compiles again."""
        asked = graph.species.tobytes()
        if self._engine is None or asked != self._last[0]:
            self._engine = self._engine_for(set(np.unique(graph.species).tolist()) - {-1})
            self._last = asked, self._rows[graph.species]
        return self._engine.evaluate(replace(graph, species=self._last[1]), exchange)

    def _engine_for(self, species: set[int]) -> Engine:
        if self._engine is None or not species <= self._known:
            self._known |= species or {0}
            self._engine = None  # before there is another
            model = families.select_elements(self._model, sorted(self._known))
            elements = families.facts(model).elements
            every = families.facts(self._model).elements
            # The last row is for species -1: atoms that are not part of the model.
            rows = [elements.index(x) if x in elements else -1 for x in every]
            self._rows = np.array([*rows, -1], np.int32)
            self._engine = build_engine(model)
        return self._engine
