# The extension module lammps_mace._bridge: Cython to C, plus the C file that starts Python.
# Cython pairs .pyx and .pxd by package, so it gets them in a folder that looks like the package; the sources' own
# folder is called cython and must never be one (it would shadow the compiler).
set(_package "${CMAKE_CURRENT_BINARY_DIR}/cython/lammps_mace")
foreach(_name _bridge.pyx _bridge.pxd)
  configure_file("${CMAKE_CURRENT_SOURCE_DIR}/cython/${_name}" "${_package}/${_name}" COPYONLY)
endforeach()
file(TOUCH "${_package}/__init__.pxd")

add_custom_command(
  OUTPUT "${_package}/_bridge.c"
  # The full module name: else classes report the wrong module.
  COMMAND "${Python_EXECUTABLE}" -m cython -3 --module-name lammps_mace._bridge "${_package}/_bridge.pyx"
          -o "${_package}/_bridge.c"
  DEPENDS "${_package}/_bridge.pyx" "${_package}/_bridge.pxd" "${CMAKE_CURRENT_SOURCE_DIR}/cython/bridge.h"
  VERBATIM)
python_add_library(bridge MODULE WITH_SOABI "${_package}/_bridge.c" cython/interpreter.c)
set_target_properties(bridge PROPERTIES OUTPUT_NAME _bridge)
target_include_directories(bridge PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/cython")
