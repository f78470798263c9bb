"""The description between families of models and lowering: who may know what, and refusals."""

import re
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from small import CUTOFF, ELEMENTS, make_model

import lammps_mace
from lammps_mace import DatasetInfo, MaceConfig
from lammps_mace.lowering.lower import lower
from lammps_mace.lowering.supported import needs_exact_radial, obstacle
from lammps_mace.models import families
from lammps_mace.models.description import (
    Density,
    MessageGate,
    PairEnergy,
    RadialWeights,
    SpeciesDependence,
)
from lammps_mace.models.mlip.shapes import parameter_shapes
from lammps_mace.models.model import DELIMITER

PACKAGE = Path(lammps_mace.__file__).parent
FREE_OF_FAMILIES = ("lowering", "engine", "kernels")
# Between them they have every parameter of the family.
NETWORKS = (
    {},
    {"gate_nodes": True, "species_pair_scaling": True, "num_readout_heads": 2},
    {"symmetric_contraction_backend": "e3nn", "residual_connection_first_layer": True},
    {"use_gaunt_tp_message_passing": True, "symmetric_contraction_backend": "gaunt_tp"},
    {"use_total_charge_embedding": True},
)


def parameter_names():
    """Return the names on all levels of the parameters; other tests compare them with Mace's."""
    info = DatasetInfo(atomic_energies_map=ELEMENTS, graph_cutoff_angstrom=CUTOFF)
    keys = [key for options in NETWORKS for key in parameter_shapes(MaceConfig(**options), info)]
    return {name for key in keys for name in key.split(DELIMITER)}


def mentions(text, names):
    """Return the names in a text; of those that are plain words, the quoted ones."""
    words = set(re.findall(r"\w+", text))
    quoted = set(re.findall(r"[\"'](\w+)[\"']", text))
    return {name for name in names if name in (quoted if name.isalpha() else words)}


def test_no_parameter_name_of_a_family_outside_it():
    names = parameter_names()
    assert {"linear_in", "radial_mlp", "kernel", "weight0_0_1", "species_pair_scale"} <= names
    found = {
        f"{path.relative_to(PACKAGE)}: {sorted(named)}"
        for folder in FREE_OF_FAMILIES
        for path in (PACKAGE / folder).rglob("*.py")
        if (named := mentions(path.read_text("utf-8"), names))
    }
    assert not found
    # Control: the family itself is full of them.
    of_family = (PACKAGE / "models" / "mlip").glob("*.py")
    assert any(mentions(path.read_text("utf-8"), names) for path in of_family)


def functions(parameters, distances, senders, receivers):
    return jnp.ones((len(distances), 1))


RADIAL = RadialWeights(functions, (), np.ones((1, 1)), "ones")


@pytest.fixture(scope="module")
def described():
    return families.describe(make_model("float32"))


def changed(description, **fields):
    """Return the description with another last layer."""
    *others, last = description.layers
    return replace(description, layers=(*others, replace(last, **fields)))


def test_what_lowering_does_not_know_is_named(described):
    assert obstacle(described) is None
    last = described.layers[-1]
    gate = MessageGate(None, 4, jnp.tanh, jnp.tanh, {})
    wide = {irrep: np.concatenate([matrix] * 2, axis=2) for irrep, matrix in last.send.items()}
    channels = "maps between different numbers of channels of layer 2"
    for other, name in (
        (changed(described, send=wide), channels),
        (changed(described, skip=None), "the missing skip of layer 2"),
        (changed(described, product={}), "an irrep without a map of layer 2"),
        (changed(described, normalization=Density(RADIAL, 1.0, 1.0)), "the density of layer 2"),
        (changed(described, message_gate=gate), "the gate of the messages of layer 2"),
        (replace(described, pair_energy=PairEnergy(functions, (), True)), "an energy of pairs"),
        (replace(described, undescribed="some option"), "some option"),
    ):
        assert obstacle(other) == name


def test_what_is_not_known_runs_as_the_network_defines_it(described, monkeypatch):
    other = changed(described, normalization=Density(RADIAL, 1.0, 1.0))
    monkeypatch.setattr(families, "describe", lambda model: other)
    assert lower(make_model("float32")).how == "plain network (the density of layer 2)"


def test_where_splines_will_not_do(described):
    assert not needs_exact_radial(described)
    radial = described.layers[-1].radial
    for fields in (
        {"zero_at_cutoff": False},
        {"factor": np.ones((2, 2, radial.matrix.shape[1]))},
        *({"dependence": one} for one in SpeciesDependence if one != SpeciesDependence.SHARED),
    ):
        assert needs_exact_radial(changed(described, radial=replace(radial, **fields)))
    assert needs_exact_radial(replace(described, exact_radial=True))
    assert needs_exact_radial(replace(described, dtype="float64"))
