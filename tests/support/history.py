"""Prints, as JSON, digests of what is cached, after JAX was set to one precision after the other.

Arguments: "float64" and "float32", in any order.
"""

import dataclasses
import hashlib
import json
import sys
from functools import lru_cache

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from small import domain_graph, make_model, make_structure, splines_of

from lammps_mace import Mace, evaluate
from lammps_mace.engine.interface import NoExchange
from lammps_mace.kernels.contraction import cpu as contraction_cpu
from lammps_mace.kernels.edges import cpu as edges_cpu
from lammps_mace.lowering import contraction as lowered_contraction
from lammps_mace.lowering import edges as lowered_edges
from lammps_mace.lowering.build import build_engine
from lammps_mace.models import families
from lammps_mace.models.blocks import power_basis, quadrature
from lammps_mace.models.blocks.activation import normalized_odd, second_moment_norm
from lammps_mace.models.mlip import (
    contraction,
    contraction_e3j,
    embedding,
    gaunt_paths,
    interaction,
)
from lammps_mace.models.mlip.config import RadialEnvelope
from lammps_mace.models.options import Activation
from lammps_mace.models.torch.paths import clebsch_gordan

BACKENDS = ("e3nn_symmetric", "e3nn", "e3j", "gaunt_tp")
# With these the two precisions give another radial prefactor.
INFO, RADIAL = {"graph_cutoff_angstrom": 3.7}, {"avg_r_min": 1.4, "num_rbf": 8}
SOURCE, TARGET = e3nn.Irreps("0e+1o+2e"), e3nn.Irreps("0e+1o")
PAIRS = ((0, 1), (1, -1), (2, 1))


def model(dtype="float64", **config):
    return make_model(dtype, info=INFO, **RADIAL, **config)


def prefactor(kind):
    return embedding.radial_prefactor(RADIAL["avg_r_min"], INFO["graph_cutoff_angstrom"], 8, kind)


# As it once was: the precision of the first call stays.
@lru_cache
def first_come():
    with jax.ensure_compile_time_eval():
        samples = jnp.linspace(1.4, 3.7, 1000, dtype=jnp.float32)
        basis = embedding.radial_basis(samples, 3.7, 8, RadialEnvelope.SOFT)
        return float(jnp.mean(basis**2)) ** -0.5


@lru_cache
def engines(plain):
    return build_engine(model(), plain)


def step(plain=False):
    return engines(plain).evaluate(domain_graph(make_structure()), NoExchange())


def programs():
    """Return what kernels run of a layer: its edge operation and its contraction."""
    layer = families.describe(model()).layers[0]
    edges = lowered_edges.edge_program(layer, INFO["graph_cutoff_angstrom"])
    return edges, lowered_contraction.contraction(layer, 2, "cpu")[0].programs[0]


def network(backend):
    """Return what the README's example does, in the precision that JAX has."""
    made = model(symmetric_contraction_backend=backend, num_layers=1)
    graph = make_structure().graph()
    mace = Mace(made.config, made.dataset_info)
    params = mace.init(jax.random.PRNGKey(0), graph)
    return mace.apply(params, graph).nodes.features["energy"]


def evaluation():
    at = make_structure()
    numbers = np.array(model().dataset_info.atomic_numbers)[at.species]
    atoms = Atoms(numbers, positions=at.positions, cell=at.cell, pbc=True)
    return evaluate(model(), atoms)


# Per cached function of the package, or what is made from several: what it returns.
CACHES = {
    "embedding.radial_prefactor": lambda: [prefactor(kind) for kind in RadialEnvelope],
    "contraction.tensor_product_basis": lambda: [
        contraction.tensor_product_basis(SOURCE, order, TARGET, symmetric)
        for order in (1, 2, 3)
        for symmetric in (True, False)
    ],
    "contraction.contraction_polynomial": lambda: [
        contraction.contraction_polynomial(SOURCE, TARGET, 2, symmetric)
        for symmetric in (True, False)
    ],
    "contraction_e3j.e3j_basis": lambda: contraction_e3j.e3j_basis(SOURCE, TARGET, 3),
    "contraction_e3j.e3j_polynomial": lambda: contraction_e3j.e3j_polynomial(SOURCE, TARGET, 3),
    "power_basis.power_basis": lambda: power_basis.power_basis(PAIRS, PAIRS[:2], 3),
    "power_basis._clebsch_gordan": lambda: power_basis._clebsch_gordan(2, 1, 1),
    "interaction.message_paths": lambda: interaction.message_paths(SOURCE, 2, TARGET),
    "interaction._clebsch_gordan": lambda: interaction._clebsch_gordan(1, 2, 1),
    "torch.paths.clebsch_gordan": lambda: [clebsch_gordan(1, 2, 2), clebsch_gordan(2, 1, 1)],
    "quadrature.sphere_rule": lambda: quadrature.sphere_rule(7),
    "quadrature.harmonics_at": lambda: quadrature.harmonics_at(SOURCE, 7),
    "quadrature.means_of_three": lambda: quadrature.means_of_three(1, 2, 2),
    "gaunt_paths.gaunt_paths": lambda: gaunt_paths.gaunt_paths(SOURCE, 2, TARGET),
    "edges.cpu._attributes": lambda: edges_cpu._attributes(programs()[0]),
    "contraction.cpu._attributes": lambda: contraction_cpu._attributes(programs()[1]),
}
RESULTS = {
    "activation norms": lambda: [
        (second_moment_norm(name, dtype), normalized_odd(dtype)(np.array([0.3], dtype)))
        for name in Activation
        for dtype in ("float32", "float64")
    ],
    "splines": lambda: splines_of(model("float32")),
    "engine": step,
    "engine, plain network": lambda: step(plain=True),
    "evaluation": evaluation,
    **{f"network, {backend}": lambda name=backend: network(name) for backend in BACKENDS},
}
CONTROL = "first come"


def digest(value):
    """Return a hash of everything in a value, to the last bit."""
    found = hashlib.sha256()

    def add(part):
        if isinstance(part, np.ndarray | jax.Array):
            found.update(f"{part.dtype}{part.shape}".encode() + np.asarray(part).tobytes())
        elif dataclasses.is_dataclass(part):
            add([getattr(part, field.name) for field in dataclasses.fields(part)])
        elif isinstance(part, dict):
            add(list(part.items()))
        elif isinstance(part, list | tuple):
            for one in part:
                add(one)
        else:
            found.update(repr(part).encode())

    add(value)
    return found.hexdigest()


def main(modes):
    found = {}
    for mode in modes:
        jax.config.update("jax_enable_x64", mode == "float64")
        all_of = {**CACHES, **RESULTS, CONTROL: first_come}
        found[mode] = {name: digest(make()) for name, make in all_of.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
