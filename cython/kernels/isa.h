// Which kernels run on this machine.
#pragma once

#include <cstdint>

#include "tasks.h"

namespace lammps_mace {

const Kernels &kernels();

// Those of the instruction set in use, or of a narrower one where that is faster for rows of so many bytes.
const Kernels &kernels_for_rows(std::int64_t bytes);

}    // namespace lammps_mace

#pragma GCC visibility push(default)
extern "C" {
// Name of the instruction set in use.
const char *lammps_mace_kernels_isa();
// Names of those that were compiled, the widest first; a null pointer behind the last.
const char *lammps_mace_kernels_name(int index);
// Uses that instruction set from now on; 0, or 1 for an unknown name, 2 where this machine lacks it.
int lammps_mace_kernels_use(const char *isa);
}
#pragma GCC visibility pop
