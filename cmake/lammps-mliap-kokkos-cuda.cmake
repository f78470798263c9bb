# cmake -C: as lammps-mliap-cpu, with KOKKOS on NVIDIA GPUs: ranks exchange layer features on the device.
# Name your GPU: -D Kokkos_ARCH_AMPERE80=ON (A100), -D Kokkos_ARCH_HOPPER90=ON (H100), ...; the MPI must be CUDA-aware.
include("${CMAKE_CURRENT_LIST_DIR}/lammps-mliap-cpu.cmake")
set(PKG_KOKKOS ON CACHE BOOL "")
set(Kokkos_ENABLE_SERIAL ON CACHE BOOL "")
set(Kokkos_ENABLE_CUDA ON CACHE BOOL "")
set(KOKKOS_LAYOUT legacy CACHE STRING "")
