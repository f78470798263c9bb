"""Physical constants in eV, Å and e; without JAX, for those who must configure it first."""

import math

EPSILON_0 = 5.5263494e-3  # e^2 / (eV Å)
COULOMB_CONSTANT = 1.0 / (4.0 * math.pi * EPSILON_0)  # eV Å / e^2
DAMPING_CUTOFF = 5.0  # Å; beyond it the Coulomb law is exact
