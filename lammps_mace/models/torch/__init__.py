"""The MACE of mace-torch; importing the package imports no JAX."""
