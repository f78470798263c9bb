# cmake -C: as lammps-mliap-cpu, with KOKKOS on CPU threads: ranks exchange layer features.
include("${CMAKE_CURRENT_LIST_DIR}/lammps-mliap-cpu.cmake")
set(PKG_KOKKOS ON CACHE BOOL "")
set(BUILD_OMP ON CACHE BOOL "")
set(Kokkos_ENABLE_SERIAL ON CACHE BOOL "")
set(Kokkos_ENABLE_OPENMP ON CACHE BOOL "")
set(KOKKOS_LAYOUT legacy CACHE STRING "")
