# cmake -C: LAMMPS with ML-IAP and Python on CPUs (ghost neighbours between ranks), and PLUGIN for our own pair style.
set(BUILD_SHARED_LIBS ON CACHE BOOL "")
set(BUILD_MPI ON CACHE BOOL "")
foreach(_package ML-IAP ML-SNAP PYTHON PLUGIN)
  set(PKG_${_package} ON CACHE BOOL "")
endforeach()
set(MLIAP_ENABLE_PYTHON ON CACHE BOOL "")
