# How everything is compiled: optimized, C++17, symbols hidden.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
# For any processor: no -march=native. -O2 without -DNDEBUG surprises, the same in every kind of installation.
set(_optimize -O2)
# `make sanitize`. -O1: the kernels, which are all templates, take minutes as it is. Not vptr: LAMMPS has no type information
# for it.
option(LAMMPS_MACE_SANITIZE "with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
if(LAMMPS_MACE_SANITIZE)
  set(_optimize -O1)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=address,undefined)
endif()
set(CMAKE_C_FLAGS_RELEASE "${_optimize} -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELEASE "${_optimize} -DNDEBUG")
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
