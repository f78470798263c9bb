"""Models with charges: alone, with a Coulomb sum, with the charge embedding, with everything."""

from parity import Case

LONG_RANGE = {"total_charge_set": [-1, 0, 1], "long_range_cutoff_angstrom": 7.0}
COULOMB = {"use_coulomb_term": True}
CASES = {
    "charges": Case({"predict_partial_charges": True}, LONG_RANGE, charge=-1),
    "coulomb": Case(COULOMB, LONG_RANGE, "orthogonal", charge=1),
    "embedding": Case({"use_total_charge_embedding": True}, LONG_RANGE, "slab", charge=-1),
    "all": Case(
        {**COULOMB, "use_total_charge_embedding": True, "num_readout_heads": 2}, LONG_RANGE,
        "rotated", charge=-1, head=1,
    ),
}  # fmt: skip
