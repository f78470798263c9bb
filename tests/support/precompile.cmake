# Included by LAMMPS's own project() call in the tests' build: halves the compile time.
cmake_language(DEFER CALL target_precompile_headers lammps PRIVATE
  <pointers.h> <atom.h> <comm.h> <compute.h> <domain.h> <error.h> <fix.h> <force.h> <group.h> <memory.h> <modify.h>
  <neighbor.h> <update.h> <cmath> <cstring>)
