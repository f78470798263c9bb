# lammpsmaceplugin.so: LAMMPS loads every file whose name ends so from the folders in LAMMPS_PLUGIN_PATH.
# It loads into any LAMMPS, and opens liblammps_mace_style.so in the one that it was built for.
file(GLOB _style_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/cython/plugin/*.cpp")
set(_plugin_sources "${CMAKE_CURRENT_SOURCE_DIR}/cython/plugin/entry.cpp"
                    "${CMAKE_CURRENT_SOURCE_DIR}/cython/plugin/registration.cpp")
list(REMOVE_ITEM _style_sources ${_plugin_sources})
add_library(plugin MODULE ${_plugin_sources})
set_target_properties(plugin PROPERTIES PREFIX "" OUTPUT_NAME lammpsmaceplugin SUFFIX .so)
add_library(style MODULE ${_style_sources})
set_target_properties(style PROPERTIES PREFIX lib OUTPUT_NAME lammps_mace_style SUFFIX .so)
add_dependencies(plugin style)
target_compile_definitions(plugin PRIVATE LAMMPS_MACE_LAMMPS_VERSION=${LAMMPS_VERSION_NUMBER})
foreach(_target plugin style)
  target_include_directories(${_target} SYSTEM PRIVATE "${LAMMPS_INCLUDE_DIR}" "${MPI_INCLUDE_DIR}")
  target_compile_definitions(${_target} PRIVATE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
  # LAMMPS prints the source file of an error: a short name, not a path of the machine that compiled it.
  target_compile_options(${_target} PRIVATE -Wall -Wextra
    "-ffile-prefix-map=${CMAKE_CURRENT_SOURCE_DIR}/cython/plugin/=lammps-mace/")
  # LAMMPS and MPI are in the process that loads us. Never unloaded: Python's threads run on when LAMMPS is done.
  target_link_libraries(${_target} PRIVATE ${CMAKE_DL_LIBS})
  target_link_options(${_target} PRIVATE -Wl,-z,nodelete)
endforeach()
set_source_files_properties(cython/plugin/halo_exchange.cpp PROPERTIES COMPILE_OPTIONS "-O3")
# Loops over neighbours that the compiler may reorder (#pragma omp simd) and whose square roots need not set errno.
set_source_files_properties(cython/plugin/coulomb.cpp PROPERTIES COMPILE_OPTIONS "-O3;-fopenmp-simd;-fno-math-errno")
