"""Energies of a model (eV) in the units of an input script; lengths are Å in all of them."""

from __future__ import annotations

# LAMMPS energy units per eV. 23.060549 is LAMMPS's own METAL2REAL, so that a potential file of
# LAMMPS and a model give the same numbers; it differs from CODATA 2018 by 5e-8.
ENERGY_PER_EV = {"metal": 1.0, "real": 23.060549}


def energy_per_ev(units: str) -> float:
    """Return how much of LAMMPS's energy unit one eV is.

    Raises:
        ValueError: a unit style whose lengths and energies are not those of atoms.
    """
    if units not in ENERGY_PER_EV:
        raise ValueError(
            "pair_style mliap unified: needs `units metal` (eV, Angstrom) or `units real` "
            f"(kcal/mol, Angstrom), got `units {units}`: write `units metal` at the top "
            "of the input and convert its numbers"
        )
    return ENERGY_PER_EV[units]
