# LAMMPS_MACE_PORTABLE=ON: with the compiler of a newer Linux, ask for no function that manylinux_2_28 lacks.
# For `make wheels`. The compilers of the manylinux images do so by themselves.
option(LAMMPS_MACE_PORTABLE "Compiled files run with glibc 2.28 and the libstdc++ of GCC 8" OFF)
if(NOT LAMMPS_MACE_PORTABLE)
  return()
endif()
foreach(_target plugin style kernels)
  target_sources(${_target} PRIVATE "${CMAKE_CURRENT_LIST_DIR}/libstdcxx_8.cpp")
  target_compile_options(${_target} PRIVATE "SHELL:-include \"${CMAKE_CURRENT_LIST_DIR}/glibc_2_28.h\"")
  target_link_options(${_target} PRIVATE "LINKER:--no-as-needed,-l:libdl.so.2,--as-needed")
endforeach()
