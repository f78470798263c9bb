# The extension modules, Cython to C: lammps_mace._bridge, with the C file that starts Python, and lammps_mace._pairs.
# Cython pairs .pyx and .pxd by package, so it gets them in a folder that looks like the package; the sources' own
# folder is called cython and must never be one (it would shadow the compiler).
set(_package "${CMAKE_CURRENT_BINARY_DIR}/cython/lammps_mace")
foreach(_name _bridge.pyx _bridge.pxd _step.pxi _pairs.pyx)
  configure_file("${CMAKE_CURRENT_SOURCE_DIR}/cython/${_name}" "${_package}/${_name}" COPYONLY)
endforeach()
file(TOUCH "${_package}/__init__.pxd")

# add_extension(<target> <other sources...>): module lammps_mace._<target>.
function(add_extension target)
  set(_c "${_package}/_${target}.c")
  file(GLOB _declarations "${_package}/_${target}.pxd" "${_package}/*.pxi")
  add_custom_command(
    OUTPUT "${_c}"
    # The full module name: else classes report the wrong module.
    COMMAND "${Python_EXECUTABLE}" -m cython -3 --module-name "lammps_mace._${target}" "${_package}/_${target}.pyx" -o "${_c}"
    DEPENDS "${_package}/_${target}.pyx" ${_declarations} "${CMAKE_CURRENT_SOURCE_DIR}/cython/bridge.h"
    VERBATIM)
  python_add_library(${target} MODULE WITH_SOABI "${_c}" ${ARGN})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME "_${target}")
  target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/cython")
endfunction()

add_extension(bridge cython/interpreter.c)
add_extension(pairs)
