"""The edge operations as C++ kernels for CPUs."""
