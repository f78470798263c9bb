"""The MACE of the mlip library; importing the package imports no JAX."""
