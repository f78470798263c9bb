# Types of lammps_mace._bridge (compiled from cython/_bridge.pyx).
from typing import Any

import numpy as np
from numpy.typing import NDArray

_table: Any

class StepList:
    """The neighbour list of a step whose pairs are the device's; it lives as long as the step.

    Atoms are LAMMPS's own atoms and ghosts, each image one of its own.
    """

    @property
    def number(self) -> int:
        """Another one for each list of the process: all but positions is as it was."""
    @property
    def rows(self) -> NDArray[np.int32]:
        """[n_atoms], row of each atom; -1: none, it was out of reach."""
    @property
    def offsets(self) -> NDArray[np.int64]:
        """[n_local + 1], row i's neighbours are offsets[i]:offsets[i+1]."""
    @property
    def neighbours(self) -> NDArray[np.int32]:
        """[n_listed], atoms, those in the skin of LAMMPS's list too."""
    @property
    def sent(self) -> NDArray[np.int32]:
        """[n_sent], own rows that other ranks need, some for several."""
    @property
    def positions(self) -> NDArray[np.float64]:
        """[n_atoms, 3], Angstrom."""
    @property
    def forces(self) -> NDArray[np.float64]:
        """[n_total, 3], result, on each row, eV/Angstrom; NaN before the call."""
    @property
    def virials(self) -> NDArray[np.float64] | None:
        """[n_total, 6], result, eV, if wanted: xx, yy, zz, xy, xz, yz; NaN before the call."""
    def finish(
        self, virial: NDArray[np.float64], n_close: int, coincident: int, rowless: int
    ) -> None:
        """Hand over the virial of this rank's pairs [6], eV, and what was found about them.

        Args:
            n_close: pairs closer than the model was trained for.
            coincident: an own row with a neighbour in the same place, or -1.
            rowless: an atom that has come into the cutoff but has no row, or -1.
        """

class Step:
    """One call of LAMMPS's Pair::compute on one rank; its arrays live as long as that call.

    Rows are own atoms, then atoms of other ranks, each once: images of an atom share its row.
    """

    @property
    def n_local(self) -> int: ...
    @property
    def n_total(self) -> int: ...
    @property
    def number(self) -> int:
        """Of the pairs: models that are given the same number are given the same pairs."""
    @property
    def one_domain(self) -> bool:
        """One rank: there is nobody to exchange with."""
    @property
    def species(self) -> NDArray[np.int32]:
        """[n_total], 0-based index into the model's elements; -1 = not part of this model."""
    @property
    def tags(self) -> NDArray[np.int64]:
        """[n_total], LAMMPS atom IDs."""
    @property
    def offsets(self) -> NDArray[np.int64]:
        """[n_local + 1], row i's pairs are offsets[i]:offsets[i+1]."""
    @property
    def senders(self) -> NDArray[np.int32]:
        """[n_pairs], row (0..n_total-1) of the neighbour."""
    @property
    def vectors(self) -> NDArray[np.float64]:
        """[n_pairs, 3], x_j - x_i in Angstrom, shorter than the cutoff."""
    @property
    def node_energies(self) -> NDArray[np.float64]:
        """[n_local], result, eV; NaN before the call, every row with a species must be written."""
    @property
    def pair_gradient(self) -> NDArray[np.float64]:
        """[n_pairs, 3], result, +dE/d vectors in eV/Angstrom; NaN before the call."""
    @property
    def positions(self) -> NDArray[np.float64] | None:
        """[n_local, 3], Angstrom; None: this step does not need the centroid virial."""
    @property
    def centroid_virial(self) -> NDArray[np.float64] | None:
        """[n_total, 3, 3], result, eV, if there are positions; NaN before the call."""
    @property
    def list(self) -> StepList | None:
        """If it is there, there are no pairs, and nothing to write into ``pair_gradient``."""
    def forward_exchange(
        self, rows: NDArray[Any], row_index: NDArray[np.int32] | None = None
    ) -> None:
        """Fill rows n_local.. of float32 or float64 [n, width] from their owners, in place.

        Row i < n_total is at ``row_index[i]``; without it at i, and n is n_total.
        """
    def reverse_exchange(
        self, rows: NDArray[Any], row_index: NDArray[np.int32] | None = None
    ) -> None:
        """Add rows n_local.. into their owners', in place."""
    def exchange_handle(self, row_index: NDArray[np.int32], n_rows: int) -> NDArray[np.uint32]:
        """Return [4]: what C++ code needs to exchange ``n_rows`` rows itself.

        It holds as long as the step and ``row_index`` do.
        """
    def sum(self, values: Any) -> NDArray[np.float64]:
        """Return float64 [n] summed over all ranks; every rank calls it, or none."""
    def charge(self, charges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Hand over the charges of own atoms [n_local], e; return their potentials [n_local], V.

        The potential is dE/dq of the Coulomb sum, whose energy and forces the plugin adds itself.
        """
    def log(self, line: str) -> None:
        """Let rank 0 write a line to LAMMPS's screen and log, now; any thread may call this."""
