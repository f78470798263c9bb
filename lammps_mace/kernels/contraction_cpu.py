"""The contraction as C++ kernels for CPUs."""
