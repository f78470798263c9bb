"""The network as Flax modules; nothing here knows LAMMPS."""

from lammps_mace.model.embedding import MaceEmbeddingBlock
from lammps_mace.model.layer import MaceLayer
from lammps_mace.model.mace import Mace

__all__ = ["Mace", "MaceEmbeddingBlock", "MaceLayer"]
