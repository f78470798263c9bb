# lammpsmaceplugin.so: LAMMPS loads every file whose name ends so from the folders in LAMMPS_PLUGIN_PATH.
file(GLOB _plugin_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/cython/plugin/*.cpp")
add_library(plugin MODULE ${_plugin_sources})
set_target_properties(plugin PROPERTIES PREFIX "" OUTPUT_NAME lammpsmaceplugin SUFFIX .so)
target_include_directories(plugin SYSTEM PRIVATE "${LAMMPS_INCLUDE_DIR}" "${MPI_INCLUDE_DIR}")
target_compile_definitions(plugin PRIVATE LAMMPS_MACE_LAMMPS_VERSION=${LAMMPS_VERSION_NUMBER} OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
# LAMMPS prints the source file of an error: a short name, not a path of the machine that compiled it.
target_compile_options(plugin PRIVATE -Wall -Wextra
  "-ffile-prefix-map=${CMAKE_CURRENT_SOURCE_DIR}/cython/plugin/=lammps-mace/")
# LAMMPS and MPI are in the process that loads us. Never unloaded: Python's threads run on when LAMMPS is done.
target_link_libraries(plugin PRIVATE ${CMAKE_DL_LIBS})
target_link_options(plugin PRIVATE -Wl,-z,nodelete)
# Loops over neighbours that the compiler may reorder (#pragma omp simd) and whose square roots need not set errno.
set_source_files_properties(cython/plugin/coulomb.cpp PROPERTIES COMPILE_OPTIONS "-O3;-fopenmp-simd;-fno-math-errno")
