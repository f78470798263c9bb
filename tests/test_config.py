"""MaceConfig and DatasetInfo: defaults, validation, error texts."""

import pytest
from pydantic import ValidationError

from lammps_mace import DatasetInfo, MaceConfig

# The table of mlip's documentation, written down a second time on purpose.
DEFAULTS = {
    "num_layers": 2,
    "num_channels": 128,
    "l_max": 3,
    "node_symmetry": 3,
    "correlation": 3,
    "readout_irreps": ["16x0e", "0e"],
    "num_readout_heads": 1,
    "include_pseudotensors": False,
    "num_rbf": 8,
    "activation": "silu",
    "radial_envelope": "polynomial_envelope",
    "radial_mlp_hidden": [64, 64, 64],
    "radial_mlp_activation": "silu",
    "add_atomic_energies": True,
    "avg_num_neighbors": None,
    "avg_r_min": None,
    "num_species": None,
    "gate_nodes": False,
    "residual_connection_first_layer": False,
    "soft_normalization": None,
    "predict_partial_charges": False,
    "use_coulomb_term": False,
    "use_total_charge_embedding": False,
    "embed_activation": "silu",
    "deterministic_scatter_ops": False,
    "symmetric_contraction_backend": "e3j",
    "use_gaunt_tp_message_passing": False,
}


# What only checkpoints of mlip 0.1 have.
OURS = {"species_pair_scaling": False}


def test_every_documented_field_has_its_default():
    assert MaceConfig().model_dump(mode="json") == {**DEFAULTS, **OURS}


def test_defaults_and_names_are_those_of_mlip():
    mlip = pytest.importorskip("mlip.models.mace.config", reason="mlip is the oracle here")
    assert mlip.MaceConfig().model_dump(mode="json") == DEFAULTS


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("num_layers", 0, "greater than 0"),
        ("num_channels", -1, "greater than 0"),
        ("l_max", -1, "greater than or equal to 0"),
        ("node_symmetry", 4, "node_symmetry=4 must not exceed l_max=3"),
        ("correlation", 5, "less than or equal to 4"),
        ("readout_irreps", ("16x0e",), "readout_irreps must hold two strings"),
        ("readout_irreps", ("16x0z", "0e"), "'16x0z' is not a string of irreps"),
        ("activation", "gelu", "'tanh', 'silu'"),
        ("radial_envelope", "cosine_cutoff", "'polynomial_envelope' or 'soft_envelope'"),
        ("symmetric_contraction_backend", "cueq", "'e3j', 'e3nn', 'e3nn_symmetric' or 'gaunt_tp'"),
        ("avg_num_neighbors", 0.0, "greater than or equal to 0.000001"),
        ("soft_normalization", float("nan"), "finite number"),
        ("soft_normalization", 1e7, "less than or equal to 1000000"),
        ("gate_nodes", 1, "valid boolean"),
        ("num_layers", True, "valid integer"),
        ("num_layers", 2.0, "valid integer"),
        ("avg_r_min", "1.5", "valid number"),
        ("num_layers", 10**6, "less than or equal to 32"),
        ("num_channels", 10**9, "less than or equal to 16384"),
        ("num_readout_heads", 10**9, "less than or equal to 64"),
        ("num_rbf", 10**9, "less than or equal to 128"),
        ("num_species", 10**9, "less than or equal to 256"),
        ("radial_mlp_hidden", (2,) * 5000, "at most 16 items"),
        ("radial_mlp_hidden", (10**9,), "less than or equal to 1024"),
        ("l_max", 50, "less than or equal to 8"),
        ("l_max", 7, "l_max can be up to 6"),
        ("readout_irreps", ("16x99o", "0e"), "degrees up to 8 and multiplicities of 1 to 4096"),
        ("readout_irreps", ("0x0e", "0e"), "degrees up to 8 and multiplicities of 1 to 4096"),
        ("readout_irreps", ("0e+" * 50, "0e"), "irreps of 150 characters; at most 100"),
        ("readout_irreps", (16, "0e"), "irreps are text such as '16x0e', not int"),
        ("readout_irreps", ("16x0e", "1o"), "the output '1o' has no 0e, the energy"),
    ],
)
def test_bad_values_are_named(field, value, words):
    with pytest.raises(ValidationError) as caught:
        MaceConfig(**{field: value})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "highest"),
    [
        ({"correlation": 4}, 4),
        ({"correlation": 4, "include_pseudotensors": True}, 2),
        ({"symmetric_contraction_backend": "e3nn"}, 3),
        ({"symmetric_contraction_backend": "e3nn_symmetric", "correlation": 2}, 6),
    ],
)
def test_contractions_whose_tables_would_be_too_large(options, highest):
    assert MaceConfig(l_max=highest, **options)
    words = f"tables of the contraction would be too large; l_max can be up to {highest}"
    with pytest.raises(ValidationError, match=words):
        MaceConfig(l_max=highest + 1, **options)


def test_gaunt_products_have_no_tables_and_no_pseudotensors():
    gaunt = {"symmetric_contraction_backend": "gaunt_tp", "correlation": 4}
    assert MaceConfig(l_max=8, **gaunt)
    with pytest.raises(ValidationError, match="backend='gaunt_tp' cannot hold the irreps of incl"):
        MaceConfig(include_pseudotensors=True, **gaunt)
    with pytest.raises(ValidationError, match="use_gaunt_tp_message_passing=True cannot hold"):
        MaceConfig(include_pseudotensors=True, use_gaunt_tp_message_passing=True)


def test_unknown_key_names_the_nearest():
    with pytest.raises(ValidationError, match="unknown key 'num_chanels'.*'num_channels'"):
        MaceConfig(num_chanels=64)


def test_config_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        MaceConfig().num_layers = 3


def test_dependent_fields():
    assert MaceConfig(l_max=2).node_symmetry == 2
    assert MaceConfig(use_coulomb_term=True).predict_partial_charges


def test_dataset_species_are_sorted_atomic_numbers():
    info = DatasetInfo(atomic_energies_map={14: 1.0, 1: 2.0}, graph_cutoff_angstrom=5.0)
    assert info.elements == ("H", "Si")
    assert info.atomic_energies() == {1: 2.0, 14: 1.0}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"atomic_energies_map": {}}, "at least one element"),
        ({"atomic_energies_map": {119: 0.0}}, "119 is not an atomic number"),
        ({"graph_cutoff_angstrom": 0.0}, "greater than or equal to 0.01"),
        ({"graph_cutoff_angstrom": 1e300}, "less than or equal to 1000"),
        (
            {"avg_r_min_angstrom": 5.0},
            "avg_r_min_angstrom=5 must be at most 0.9 times graph_cutoff",
        ),
        ({"atomic_energies_map": {"08": 0.0}}, "valid integer"),
        ({"atomic_energies_map": {1: float("nan")}}, "finite number"),
        ({"atomic_energies_map": [{1: 0.0}] * 300}, "at most 256 items"),
        ({"dataset_name": "a\x1b[2J"}, "characters that cannot be printed"),
        ({"total_charge_set": [0.5]}, "valid integer"),
        ({"dataset_name": ["a", "b"]}, "both be lists, or neither"),
        (
            {"dataset_name": ["a"], "atomic_energies_map": [{1: 0.0}, {1: 1.0}]},
            "dataset_name has 1 entries",
        ),
        (
            {"dataset_name": ["a", "a"], "atomic_energies_map": [{1: 0.0}, {1: 1.0}]},
            "must not repeat a name",
        ),
        ({"cutoff": 5.0}, "unknown key 'cutoff' in DatasetInfo"),
    ],
)
def test_bad_dataset_is_named(change, words):
    good = {"atomic_energies_map": {1: 0.0}, "graph_cutoff_angstrom": 5.0}
    with pytest.raises(ValidationError) as caught:
        DatasetInfo(**{**good, **change})
    assert words in str(caught.value)
