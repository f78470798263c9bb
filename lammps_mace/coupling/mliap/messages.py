"""What a model in LAMMPS's own ML-IAP says when it cannot be used as it is asked for."""


class MLIAPError(ValueError):
    """Why LAMMPS cannot run a model; the message says what to write in the input script."""


UNCHECKED = "LAMMPS_MACE_UNCHECKED"  # the variable that switches checks off
# lammps#4744 broke the exchange in autumn 2025, lammps#4808 mended it in December. A development
# build has the number of the release before it, so that numbers cannot tell who has which.
WRONG_EXCHANGE = range(20250910, 20260211)
SUSPECT = (
    "pair_style mliap unified: some LAMMPS builds from September to December 2025 exchange "
    "features wrongly with KOKKOS (lammps#4808), this may be one: use LAMMPS 11 Feb 2026 or newer, "
    "or run without -k on with the plugin of lammps-mace"
)
UNRECOGNISED = (
    "WARNING: lammps-mace does not recognise this LAMMPS: it cannot check units, special_bonds and "
    "the communication cutoff; use `units metal`"
)
EXCLUSIONS = (
    "neighbour exclusions (`neigh_modify exclude`, and fixes that hide atoms, such as gcmc) leave "
    "out pairs, and ML-IAP does not tell a model which: remove them, or compile the plugin of "
    "lammps-mace for this LAMMPS; if they concern no two atoms of the model, set the variable "
    f"{UNCHECKED}=1"
)
NO_GHOSTS = (
    "this LAMMPS cannot exchange features between ranks and was not asked for the neighbours of "
    "ghosts: write `pair_style mliap unified FILE 1` and `comm_modify cutoff {reach:g}`, or "
    "compile the plugin of lammps-mace for this LAMMPS, or use KOKKOS"
)
UNKNOWN_REACH = (
    "the communication cutoff of this LAMMPS is not known: make sure that the input says "
    "`comm_modify cutoff {reach:g}` or more (layers x cutoff + skin), then set the variable "
    f"{UNCHECKED}=1"
)
WRITTEN_CHARGES = (
    "the model was converted with --write-charges, but ML-IAP lets no model write into the atoms' "
    "charges: convert it without --write-charges, or compile the plugin of lammps-mace for this "
    "LAMMPS"
)
CHARGES_NEED_EXCHANGE = (
    "the model has a Coulomb sum of its charges (use_coulomb_term), and this LAMMPS cannot "
    "exchange charges between ranks: compile the plugin of lammps-mace for this LAMMPS, or use "
    "KOKKOS"
)
SAME_PLACE = (
    "two atoms are in the same place: remove one, for example with "
    "`delete_atoms overlap 0.1 all all`"
)
KSPACE = (
    "pair_style mliap unified: the model's energy holds the Coulomb energy of its atoms: "
    "kspace_style must find no charges on them, or that energy is counted twice"
)
