# The LAMMPS and the MPI whose headers the plugin is compiled with.
# Replaces LAMMPS_INCLUDE_DIR, LAMMPS_VERSION_NUMBER (such as 20250722) and MPI_INCLUDE_DIR, those of the Python packages.
#
# LAMMPS_MACE_LAMMPS: a source tree of LAMMPS (the folder with src/) or where it is installed (the folder with
# include/lammps/). Empty: the Python packages `lammps` and `mpich`. With it, LAMMPS_MACE_MPI names an MPI compiler
# wrapper (such as mpicxx) or a folder with mpi.h; empty: what CMake finds.
set(LAMMPS_MACE_LAMMPS "" CACHE PATH "LAMMPS to compile the plugin for: source tree or installation")
set(LAMMPS_MACE_MPI "" CACHE STRING "That LAMMPS's MPI: compiler wrapper or folder of mpi.h")
if(NOT LAMMPS_MACE_LAMMPS)
  return()
endif()

unset(LAMMPS_INCLUDE_DIR)
unset(LAMMPS_VERSION_NUMBER)
foreach(_folder src include/lammps include)
  if(EXISTS "${LAMMPS_MACE_LAMMPS}/${_folder}/pair.h")
    set(LAMMPS_INCLUDE_DIR "${LAMMPS_MACE_LAMMPS}/${_folder}")
    break()
  endif()
endforeach()
if(NOT LAMMPS_INCLUDE_DIR)
  message(FATAL_ERROR "LAMMPS_MACE_LAMMPS=${LAMMPS_MACE_LAMMPS} is neither a source tree (src/pair.h) nor an installation "
                      "(include/lammps/pair.h) of LAMMPS")
endif()

# src/version.h of a source tree; an installation says it in the version of its CMake package.
file(GLOB _version_files "${LAMMPS_INCLUDE_DIR}/version.h"
     "${LAMMPS_MACE_LAMMPS}/lib*/cmake/LAMMPS/LAMMPSConfigVersion.cmake"
     "${LAMMPS_MACE_LAMMPS}/lib/*/cmake/LAMMPS/LAMMPSConfigVersion.cmake")
foreach(_file IN LISTS _version_files)
  file(READ "${_file}" _text)
  if(_text MATCHES "LAMMPS_VERSION \"([0-9]+) ([A-Z][a-z][a-z])[a-z]* ([0-9]+)\"")
    string(FIND "JanFebMarAprMayJunJulAugSepOctNovDec" "${CMAKE_MATCH_2}" _month)
    math(EXPR LAMMPS_VERSION_NUMBER "${CMAKE_MATCH_3} * 10000 + (${_month} / 3 + 1) * 100 + ${CMAKE_MATCH_1}")
  elseif(_text MATCHES "PACKAGE_VERSION \"([0-9]+)\\.([0-9]+)\\.([0-9]+)")
    math(EXPR LAMMPS_VERSION_NUMBER "${CMAKE_MATCH_1} * 10000 + ${CMAKE_MATCH_2} * 100 + ${CMAKE_MATCH_3}")
  endif()
endforeach()
if(NOT LAMMPS_VERSION_NUMBER)
  message(FATAL_ERROR "No version of LAMMPS in ${LAMMPS_MACE_LAMMPS} (src/version.h or LAMMPSConfigVersion.cmake)")
endif()
if(LAMMPS_VERSION_NUMBER LESS 20250722)
  message(FATAL_ERROR "LAMMPS ${LAMMPS_VERSION_NUMBER} in ${LAMMPS_MACE_LAMMPS}: the plugin needs 22 Jul 2025 or newer")
endif()

if(IS_DIRECTORY "${LAMMPS_MACE_MPI}")
  set(MPI_INCLUDE_DIR "${LAMMPS_MACE_MPI}")
else()
  if(LAMMPS_MACE_MPI)
    set(MPI_CXX_COMPILER "${LAMMPS_MACE_MPI}")
  endif()
  set(MPI_CXX_SKIP_MPICXX ON)
  find_package(MPI REQUIRED COMPONENTS CXX)
  set(MPI_INCLUDE_DIR "${MPI_CXX_INCLUDE_DIRS}")
endif()
message(STATUS "The plugin is for LAMMPS ${LAMMPS_VERSION_NUMBER}: ${LAMMPS_INCLUDE_DIR}; MPI: ${MPI_INCLUDE_DIR}")
