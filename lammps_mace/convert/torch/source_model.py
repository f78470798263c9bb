"""Runs a checkpoint with torch and mace-torch themselves; no other module uses torch."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from lammps_mace.errors import ConvertError
from lammps_mace.evaluation import Evaluation, find_pairs

if TYPE_CHECKING:
    from ase import Atoms

    from lammps_mace.models.model import Model


class SourceModel:
    """A checkpoint of mace-torch, with the settings of the model that was converted from it.

    Args:
        path: the checkpoint; torch unpickles it, which executes what it says.
        model: gives head, total charge and spin.
        number: of the model, where the checkpoint is a list of models.

    Raises:
        ConvertError: torch or mace-torch is not installed, or cannot read the file.
    """

    def __init__(
        self, path: str | os.PathLike[str], model: Model, number: int | None = None
    ) -> None:
        # e3nn 0.4 reads its own constants, which a newer torch refuses otherwise.
        os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
        try:
            self._torch = torch = importlib.import_module("torch")
            importlib.import_module("mace.modules.models")
        except ImportError as error:
            raise ConvertError(
                f"running the model itself needs torch and mace-torch ({error}): "
                "pip install 'lammps-mace[torch]'"
            ) from None
        torch.set_default_dtype(torch.float64)
        try:
            source = torch.load(path, map_location="cpu", weights_only=False)
            source = source if number is None else source[number]
            source = getattr(getattr(source, "model", source), "model", source)  # of an export
            self._source = source.to(torch.float64)
        except Exception as error:  # whatever the file raises
            raise ConvertError(f"torch cannot read {str(path)!r}: {error}") from None
        heads = len(getattr(self._source, "heads", None) or [""])
        if model.head >= heads:
            raise ConvertError(
                f"{str(path)!r} has {heads} heads, the model file uses the one of index "
                f"{model.head}: compare with the checkpoint that it was converted from"
            )
        self._model = model
        self._numbers = self._source.atomic_numbers.numpy()

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """Return the properties of a structure, float64.

        Raises:
            ValueError: it has elements that the model does not know.
        """
        if unknown := sorted(set(atoms.numbers.tolist()) - set(self._numbers.tolist())):
            raise ValueError(f"atoms: the source model does not know the atomic numbers {unknown}")
        readouts: list[Any] = []
        hook = None
        if hasattr(self._source, "embedding_readout"):  # not in mace's node_energy
            hook = self._source.embedding_readout.register_forward_hook(
                lambda _, __, out: readouts.append(out.detach().numpy())
            )
        found = self._source(self._data(atoms), compute_virials=True)
        if hook is not None:
            hook.remove()
        found = {
            name: found[name].detach().numpy()
            for name in ("energy", "forces", "virials", "node_energy")
        }
        energies = found["node_energy"]
        for readout in readouts:
            rows = readout.reshape(len(atoms), -1)
            energies = energies + rows[:, min(self._model.head, rows.shape[1] - 1)]
        return Evaluation(
            energy=float(found["energy"][0]),
            forces=found["forces"],
            virial=found["virials"][0],
            energies=energies,
            charges=None,
            volume=float(atoms.get_volume()) if all(atoms.pbc) else None,
        )

    def _data(self, atoms: Atoms) -> dict[str, Any]:
        """Return the graph as mace-torch wants it.

        Its vectors are r_receiver + shift - r_sender. With the identity as cell the shifts are
        their own multiples of its vectors, and follow the strain from which the virial comes.
        """
        pairs = find_pairs(atoms, float(self._source.r_max))
        senders, receivers = pairs.senders.astype(int), pairs.receivers.astype(int)
        shifts = pairs.vectors - atoms.positions[receivers] + atoms.positions[senders]
        rows = [self._numbers.tolist().index(number) for number in atoms.numbers.tolist()]
        data = {
            "positions": np.array(atoms.positions, np.float64),
            "node_attrs": np.eye(len(self._numbers))[rows],
            "edge_index": np.stack([senders, receivers]),
            "shifts": shifts,
            "unit_shifts": shifts,
            "cell": np.eye(3),
            "batch": np.zeros(len(atoms), int),
            "ptr": np.array([0, len(atoms)]),
            "head": np.array([self._model.head]),
            "total_charge": np.array([float(self._model.total_charge or 0)]),
            "total_spin": np.array([float(self._model.total_spin or 0)]),
        }
        return {name: self._torch.as_tensor(value) for name, value in data.items()}
