# The LAMMPS and the MPI of `lammps-mace build-plugin`, and of `pip install` where it is told: WheelHeaders.cmake.
# Sets LAMMPS_INCLUDE_DIR, LAMMPS_VERSION_NUMBER (such as 20260704), MPI_INCLUDE_DIR, and LAMMPS_MACE_BUILD, a name for them.
set(LAMMPS_MACE_LAMMPS "" CACHE PATH "source tree of LAMMPS (has src/) or where it is installed (has include/lammps/)")
set(LAMMPS_MACE_MPI "" CACHE STRING "its MPI: compiler wrapper, where it is installed, or folder of mpi.h")
set(LAMMPS_MACE_SIZES "" CACHE STRING "LAMMPS_SIZES of a source tree; an installed LAMMPS tells it")

foreach(_folder src include/lammps include)
  if(EXISTS "${LAMMPS_MACE_LAMMPS}/${_folder}/pair.h")
    set(LAMMPS_INCLUDE_DIR "${LAMMPS_MACE_LAMMPS}/${_folder}")
    break()
  endif()
endforeach()
if(NOT LAMMPS_INCLUDE_DIR)
  message(FATAL_ERROR "${LAMMPS_MACE_LAMMPS} is neither a source tree (src/pair.h) nor an installation "
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
  set(MPI_INCLUDE_DIR "${LAMMPS_MACE_MPI}" "${LAMMPS_MACE_MPI}/include")
else()
  set(MPI_CXX_COMPILER "${LAMMPS_MACE_MPI}")
  set(MPI_CXX_SKIP_MPICXX ON)
  find_package(MPI QUIET COMPONENTS CXX)
  set(MPI_INCLUDE_DIR "${MPI_CXX_INCLUDE_DIRS}")
endif()
find_file(LAMMPS_MACE_MPI_HEADER mpi.h PATHS ${MPI_INCLUDE_DIR} NO_DEFAULT_PATH)
if(NOT LAMMPS_MACE_MPI_HEADER)
  message(FATAL_ERROR "${LAMMPS_MACE_MPI} leads to no mpi.h: name where the MPI is installed, the folder of its mpi.h, or its mpicxx")
endif()

# The name by which the plugin finds what was compiled for this LAMMPS: see cython/plugin/registration.cpp.
file(STRINGS "${LAMMPS_MACE_MPI_HEADER}" _open_mpi REGEX "define +OPEN_MPI")
set(LAMMPS_MACE_BUILD "${LAMMPS_VERSION_NUMBER}-mpich")    # and those of the same ABI: Intel MPI, Cray MPICH
if(_open_mpi)
  set(LAMMPS_MACE_BUILD "${LAMMPS_VERSION_NUMBER}-openmpi")
endif()
file(GLOB _targets "${LAMMPS_MACE_LAMMPS}/lib*/cmake/LAMMPS/LAMMPS_Targets.cmake"
     "${LAMMPS_MACE_LAMMPS}/lib/*/cmake/LAMMPS/LAMMPS_Targets.cmake")
foreach(_file IN LISTS _targets)
  file(STRINGS "${_file}" _bigbig REGEX "LAMMPS_BIGBIG")
endforeach()
if(_bigbig OR LAMMPS_MACE_SIZES STREQUAL "bigbig")
  string(APPEND LAMMPS_MACE_BUILD "-bigbig")
  add_compile_definitions(LAMMPS_BIGBIG)
endif()
message(STATUS "The plugin is for LAMMPS ${LAMMPS_VERSION_NUMBER}: ${LAMMPS_INCLUDE_DIR}; MPI: ${MPI_INCLUDE_DIR}")
