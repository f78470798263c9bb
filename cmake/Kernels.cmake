# liblammps_mace_kernels.so: the C++ kernels behind lammps_mace.kernels, loaded by Python and registered with XLA.
# Not ...plugin.so: LAMMPS would try to load it. The hot files are compiled once per instruction set, each into a
# namespace of its own; the machine's is chosen at run time.
set(_kernels "${CMAKE_CURRENT_SOURCE_DIR}/cython/kernels")
set(_kernel_flags ${_optimize} -fno-math-errno -fno-trapping-math -ffp-contract=fast -Wall -Wextra -Wno-psabi)
# What every processor of a kind has, with vectors of 128 bits.
set(_plain plain)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(_plain sse2)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(_plain neon)
endif()
set(_isa_flags_avx2 -mavx2 -mfma)
set(_isa_flags_avx512 -mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma)

set(_isas ${_plain})
set(_kernel_definitions LM_PLAIN=${_plain})
if(_plain STREQUAL "sse2")
  list(APPEND _isas avx2 avx512)
  list(APPEND _kernel_definitions LM_WIDE)
endif()

file(GLOB _calls CONFIGURE_DEPENDS "${_kernels}/*_call.cpp")
add_library(kernels MODULE ${_calls} "${_kernels}/isa.cpp")
foreach(_isa IN LISTS _isas)
  add_library(kernels_${_isa} OBJECT "${_kernels}/edges_forward.cpp" "${_kernels}/edges_backward.cpp"
              "${_kernels}/contraction.cpp" "${_kernels}/linear.cpp" "${_kernels}/radial.cpp")
  set_target_properties(kernels_${_isa} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_compile_definitions(kernels_${_isa} PRIVATE LM_ISA=${_isa} ${_kernel_definitions})
  target_compile_options(kernels_${_isa} PRIVATE ${_kernel_flags} ${_isa_flags_${_isa}})
  target_sources(kernels PRIVATE $<TARGET_OBJECTS:kernels_${_isa}>)
endforeach()

set_target_properties(kernels PROPERTIES PREFIX lib OUTPUT_NAME lammps_mace_kernels SUFFIX .so)
target_include_directories(kernels SYSTEM PRIVATE "${XLA_FFI_INCLUDE_DIR}")
target_compile_options(kernels PRIVATE -Wall -Wextra)
target_compile_definitions(kernels PRIVATE ${_kernel_definitions})
# Compiled code that calls it may live until the process ends.
target_link_options(kernels PRIVATE -Wl,-z,nodelete)
