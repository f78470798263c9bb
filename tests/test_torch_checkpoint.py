"""Checkpoints of mace-torch that are not what they should be: each is refused by name."""

import copy
import lzma
import re
from pathlib import Path

import numpy as np
import pytest
from record_changes import (
    at,
    attribute,
    buffer,
    longer,
    module,
    moved,
    nothing,
    of_kind,
    parameter,
)

from lammps_mace import ConvertError
from lammps_mace.convert import convert
from lammps_mace.convert.torch.checkpoint import read_torch_checkpoint
from lammps_mace.convert.torch.conversion import choose_head
from lammps_mace.convert.torch.reader import read_records
from lammps_mace.convert.torch.records import Record, Reference

DATA = Path(__file__).parent / "data"
NAMES = {
    "small": "torch_0_3_3_small", "density": "torch_0_3_10_small-density",
    "non-linear": "torch_0_3_15_small-non-linear",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, stem in NAMES.items():
        data = lzma.decompress((DATA / f"{stem}.model.xz").read_bytes())
        (folder / f"{name}.model").write_bytes(data)
    return {name: folder / f"{name}.model" for name in NAMES}


EXTRA = Record("torch.nn.modules.dropout.Dropout")
LINEAR = "interactions.1.linear"
UP = "interactions.1.linear_up"
SKIP = "interactions.1.skip_tp"
NET = "interactions.1.conv_tp_weights"
GATE = "interactions.1.equivariant_nonlin"
CONTRACTION = "products.1.symmetric_contractions.contractions.0"
ACT = "readouts.1.non_linearity.acts.0"
REFUSED = {
    "class": ("small", lambda m: setattr(m, "class_name", "mace.modules.models.BOTNet"),
              "the model is a mace.modules.models.BOTNet; lammps-mace runs MACE and Scale"),
    "module": ("small", module("interactions.1.dropout", lambda _: EXTRA),
               "does not know: interactions.1.dropout; it would give wrong energies"),
    "parameter": ("small", parameter("interactions.1.gain", lambda _: np.ones(2)),
                  "does not know: interactions.1.gain;"),
    "buffers": ("small", lambda m: [buffer(f"b{i}", lambda _: np.ones(2))(m) for i in range(5)],
                "does not know: b0, b1, b2 and 2 more;"),
    "missing module": ("small", module("radial_embedding.cutoff_fn", nothing),
                       "radial_embedding has no 'cutoff_fn': the file is damaged"),
    "other module": ("small", module("radial_embedding.cutoff_fn", of_kind("x.CosineCutoff")),
                     "radial_embedding.cutoff_fn is a x.CosineCutoff; lammps-mace knows Polynom"),
    "missing buffer": ("small", buffer("radial_embedding.cutoff_fn.p", nothing),
                       "radial_embedding.cutoff_fn has no 'p'"),
    "not finite": ("small", buffer("radial_embedding.cutoff_fn.p", lambda _: np.array(np.nan)),
                   "radial_embedding.cutoff_fn.p has values that are not finite"),
    "no scalar": ("small", buffer("radial_embedding.cutoff_fn.p", lambda _: np.ones(2)),
                  "radial_embedding.cutoff_fn.p has shape (2,); it must be one number"),
    "shape": ("density", buffer("pair_repulsion_fn.c", lambda _: np.ones(3)),
              "pair_repulsion_fn.c has shape (3,); the model needs (4,)"),
    "few radii": ("density", buffer("pair_repulsion_fn.covalent_radii", lambda a: a[:10]),
                  "pair_repulsion_fn.covalent_radii end before element 14"),
    "attribute": ("small", attribute("products.1.use_sc", 3), "products.1.use_sc is int"),
    "no number": ("small", attribute("interactions.1.avg_num_neighbors", "8"),
                  "interactions.1.avg_num_neighbors is not a finite number"),
    "no function": ("small", attribute(f"{ACT}.f", 3), "acts.0.f is not a function"),
    "so3": ("small", attribute("use_so3", True), "use_so3: lammps-mace does not know models"),
    "cueq": ("small", attribute("interactions.0.cueq_config",
                                Record("mace.modules.wrapper_ops.CuEquivarianceConfig")),
             "interactions.0 is built for cuEquivariance; convert the model with mace_cueq"),
    "cutoffs": ("small", buffer("radial_embedding.cutoff_fn.r_max", lambda _: np.array(4.5)),
                "radial_embedding.cutoff_fn.r_max is 4.5 Å, beyond the 4 Å of r_max"),
    "harmonics": ("small", attribute("spherical_harmonics.irreps_out", "1x0e+1x1e"),
                  "spherical_harmonics are not those of each degree once"),
    "other norm": ("small", attribute("spherical_harmonics.normalization", "integral"),
                   "spherical_harmonics have the normalization 'integral', or read vectors of"),
    "any length": ("small", attribute("spherical_harmonics.normalize", False),
                   "or read vectors of any length; lammps-mace knows 'component' of unit vectors"),
    "weights left": ("small", parameter(f"{UP}.weight", longer), "numbers; 8 are used"),
    "weights missing": ("small", parameter(f"{UP}.weight", lambda a: a[:-1]),
                        "has 7 numbers; more are needed"),
    "few instructions": ("small", lambda m: fewer_instructions(at(m, LINEAR)),
                         "interactions.1.linear leaves out irreps"),
    "biases": ("small", buffer(f"{UP}.bias", lambda _: np.ones(2)),
               "interactions.1.linear_up has biases without instructions"),
    "more biases": ("small", lambda m: with_bias(at(m, UP)), "linear_up has biases, which no MACE"),
    "embedding with biases": (
        "small", lambda m: with_bias(at(m, "node_embedding.linear")),
        "node_embedding.linear has biases, which no MACE has there",
    ),
    "readout with biases": ("small", lambda m: with_bias(at(m, "readouts.0.linear")),
                            "readouts.0.linear has biases, which no MACE has there"),
    "hidden with biases": ("small", lambda m: with_bias(at(m, "readouts.1.linear_1")),
                           "readouts.1.linear_1 has biases, which no MACE has there"),
    "energy with biases": ("small", lambda m: with_bias(at(m, "readouts.1.linear_2")),
                           "readouts.1.linear_2 has biases, which no MACE has there"),
    "readout without biases": ("small", lambda m: with_middle(m, "readouts.1.linear_1"),
                               "readouts.1.linear_mid has no biases: the file is damaged"),
    "no scalar inside": ("small", lambda m: with_middle(m, UP),
                         "readouts.1.linear_mid maps to more than scalars"),
    "LoRA with biases": ("small", lambda m: lora_with_biases(m),
                         "interactions.1.linear_up.lora_B has biases, which no MACE has there"),
    "weights of its own": ("small", buffer("interactions.1.conv_tp.weight", lambda _: np.ones(4)),
                           "interactions.1.conv_tp has weights of its own; a MACE makes them of"),
    "irrep twice": ("small", attribute(f"{LINEAR}.irreps_out", "2x0e+2x0e"),
                    "linear: an irrep occurs twice"),
    "skip weights": ("small", parameter(f"{SKIP}.weight", longer), "numbers; 8 are used"),
    "skip": ("small", lambda m: other_mode(at(m, SKIP), "uvu"), "skip_tp is not a product with"),
    "products": ("small", lambda m: other_mode(at(m, "interactions.1.conv_tp"), "uvw"),
                 "interactions.1.conv_tp is not the convolution of a MACE"),
    "multiplicities": ("small", attribute("interactions.1.target_irreps", "2x0e+3x1o"),
                       "interactions.1.target_irreps are 2x0e + 3x1o: lammps-mace runs models"),
    "no irreps": ("small", moved("attributes", "interactions.1.target_irreps", nothing),
                  "interactions.1 has no 'target_irreps'"),
    "activation inside": ("small", module(f"{NET}.layer0.act", nothing),
                          "layer0: lammps-mace knows silu after each layer but the last"),
    "activation": ("small", attribute(f"{NET}.layer0.act.f", Reference("torch.tanh")),
                   "layer0 has the activation tanh; lammps-mace knows silu"),
    "density": ("small", module("interactions.1.density_fn", lambda _: EXTRA),
                "interactions.1 has a density_fn, which no RealAgnosticResidual has"),
    "sc": ("small", attribute("products.1.use_sc", False),
           "products.1.use_sc is false, but RealAgnosticResidual has a skip connection"),
    "target": ("small", attribute("products.1.symmetric_contractions.irreps_out", "2x0e+2x1o"),
               "products.1.symmetric_contractions returns other irreps than 0e"),
    "coupling": ("small", buffer(f"{CONTRACTION}.U_matrix_2", lambda a: a[0]),
                 "U_matrix_2 has another shape than a MACE's"),
    "coupling's size": ("small", buffer(f"{CONTRACTION}.U_matrix_2", lambda a: a[:-1]),
                        "U2 has shape"),
    "layers": ("small", buffer("num_interactions", lambda _: np.array(3)),
               "2 interactions, 2 products and num_interactions=3, which must be equal"),
    "gate's layout": ("non-linear", lambda m: library_gate(m, _layout_is_ir_mul=True),
                      "equivariant_nonlin has the layout of cuEquivariance"),
    "gate's function": (
        "non-linear", attribute(f"{GATE}.act_gates.acts.0.f", Reference("torch.tanh")),
        "equivariant_nonlin has silu and tanh; lammps-mace knows silu and sigmoid",
    ),
    "gate's irreps": ("non-linear", attribute(f"{GATE}.irreps_scalars", "4x0o"),
                      "equivariant_nonlin returns other irreps than 0e"),
    "several activations": (
        "non-linear", module(f"{GATE}.act_gates.acts.1", lambda _: other_activation()),
        "equivariant_nonlin has several activations",
    ),
    "no biases": ("non-linear", parameter(f"{NET}.net.0.bias", nothing), "has no biases"),
    "network's end": ("non-linear", lambda m: at(m, f"{NET}.net").modules.pop("3"),
                      "its last layer is not a linear map"),
    "readout": ("small", attribute("readouts.0.linear.irreps_out", "1x1o"), "readouts.0.linear"),
    "heads": ("small", attribute("heads", ["a", "b"]), "the same hidden scalars for 2"),
    "more heads": ("density", attribute("heads", ["a", "b", "c"]),
                   "atomic_energies has 2 rows for 3 heads"),
    "damaged": ("small", attribute(f"{UP}.instructions", [3]), "'x' is damaged, or no model"),
    "config": ("small", attribute("heads", ["a" * 300]), "model.heads.0: "),
}  # fmt: skip


def fewer_instructions(linear):
    _, *others = linear.attributes["instructions"]
    linear.attributes = {**linear.attributes, "instructions": others}
    size = linear.parameters["weight"].size // (1 + len(others))
    linear.parameters = {"weight": linear.parameters["weight"][size:]}


def with_bias(linear):
    """Give a linear map the biases that e3nn can have."""
    item = linear.attributes["instructions"][0]
    args = list(item.args if len(item.args) == 4 else item.args[0])
    bias = Record(item.class_name, (-1, args[1], (1,), 1.0))
    linear.attributes = {
        **linear.attributes, "instructions": [*linear.attributes["instructions"], bias]
    }  # fmt: skip
    linear.buffers = {**linear.buffers, "bias": np.ones(1)}


def with_middle(model, key):
    """Let the last readout be one with biases, its second map another one of the model."""
    module("readouts.1", of_kind("mace.modules.blocks.NonLinearBiasReadoutBlock"))(model)
    module("readouts.1.linear_mid", lambda _: at(model, key))(model)


def lora_with_biases(model):
    """Wrap a linear map as LoRA does, each of its three parts the map itself; one has biases."""
    name, inner = "interactions.1.linear_up", at(model, UP)
    parts = {key: copy.copy(inner) for key in ("base", "lora_A", "lora_B")}
    with_bias(parts["lora_B"])
    values = {**inner.attributes, "scaling": 0.5}
    lora = Record("mace.modules.lora.LoRAO3Linear", attributes=values, modules=parts)
    module(name, lambda _: lora)(model)


def other_mode(product, mode):
    item = product.attributes["instructions"][0]
    args = list(item.args if len(item.args) > 1 else item.args[0])
    args[3] = mode
    changed = [Record(item.class_name, tuple(args)), *product.attributes["instructions"][1:]]
    product.attributes = {**product.attributes, "instructions": changed}


def library_gate(model, **attributes):
    gate = at(model, GATE)
    gate.class_name = "mace.modules.gate.GatedEquivariantBlock"
    gate.attributes = {**gate.attributes, **attributes}


def other_activation():
    values = {"f": Reference("torch.sigmoid"), "cst": 9.0, "_is_id": False}
    return Record("e3nn.math._normalize_activation.normalize2mom", attributes=values)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(files, name):
    which, spoil, message = REFUSED[name]
    model = read_records(files[which])
    spoil(model)
    with pytest.raises(ConvertError, match=re.escape(message)):
        read_torch_checkpoint(model, "x")


@pytest.mark.parametrize("name", NAMES)
def test_unspoiled_are_read(files, name):
    checkpoint = read_torch_checkpoint(read_records(files[name]), name)
    assert checkpoint.config.elements == ("O", "Si")
    assert checkpoint.dtype == ("float32" if name == "density" else "float64")
    assert checkpoint.config.coupling_dtype == checkpoint.dtype


@pytest.mark.parametrize("name", ["density", "small"])
def test_precision_of_the_couplings_is_that_in_which_a_model_was_made(files, name):
    """Energies and radial functions may have been changed in another one since."""
    model = read_records(files[name])
    exact = read_torch_checkpoint(model, "x").config.coupling_dtype
    for path in ("atomic_energies_fn.atomic_energies", "radial_embedding.bessel_fn.bessel_weights"):
        other = {
            "float32": lambda array: array.astype(np.float64) * (1 + 1e-9),
            "float64": lambda array: array.astype(np.float32),
        }
        buffer(path, other[exact])(model)
    assert read_torch_checkpoint(model, "x").config.coupling_dtype == exact


def test_parts_of_early_versions(files):
    model = read_records(files["density"])
    before = read_torch_checkpoint(model, "x").params
    buffer("pair_repulsion_fn.r_max", lambda _: np.array(5.0))(model)
    module("pair_repulsion_fn.cutoff", lambda _: at(model, "radial_embedding.cutoff_fn"))(model)
    assert read_torch_checkpoint(model, "x").params.keys() == before.keys()
    transform = "radial_embedding.distance_transform"
    module(transform, of_kind("mace.modules.radial.SoftTransform"))(model)
    buffer(f"{transform}.b", lambda _: np.array(3.0))(model)
    for name in ("p", "q"):
        buffer(f"{transform}.{name}", nothing)(model)
    checkpoint = read_torch_checkpoint(model, "x")
    assert checkpoint.config.radial.transform == "early soft"
    assert checkpoint.params["radial#transform#b"] == 3.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "several heads; choose one with --head: 0 (a), 1 (b)"),
        ({"head": "c"}, "--head 'c': there is no such head; the model has 0 (a), 1 (b)"),
        ({"head": "2"}, "--head '2': there is no such head"),
        ({"head": "a", "write_charges": True}, "--write-charges: the model predicts no charges"),
        ({"head": "a", "total_charge": 1}, "--total-charge 1: this model does not depend on it"),
        ({"head": "a", "total_spin": 1}, "--total-spin 1: this model does not depend on it"),
        ({"head": "a", "elements": ["H"]}, "--elements H: the model knows O Si"),
        ({"head": "a", "elements": []}, "--elements : the model knows O Si"),
    ],
)
def test_options_that_do_not_fit(files, tmp_path, options, message):
    with pytest.raises(ConvertError, match=re.escape(message)):
        convert(files["density"], tmp_path / "x.model", **options)
    assert not list(tmp_path.iterdir())


def test_options(files, tmp_path):
    lines = convert(files["density"], tmp_path / "x.model", head="1", elements=["Si"])
    assert "MACE of mace-torch, 2 layers (RealAgnosticDensity, RealAgnosticDensityRes" in lines[0]
    assert lines[-1].endswith("pair_coeff * * Si")


def test_head_of_a_fine_tuned_model():
    assert choose_head(("pt_head", "mine"), None)[0] == "mine"
    assert "'mine' was chosen, beside pt_head" in choose_head(("pt_head", "mine"), None)[1]
    assert choose_head(("pt_head", "mine"), "0") == ("pt_head",)
    assert choose_head(("only",), None) == ("only",)
    with pytest.raises(ConvertError, match=re.escape("0 (pt_head), 1 (a), 2 (b)")):
        choose_head(("pt_head", "a", "b"), None)
