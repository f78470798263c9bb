// How all ranks learn of a failure on one of them, and end together.
#ifndef LAMMPS_MACE_COLLECTIVE_ERROR_H
#define LAMMPS_MACE_COLLECTIVE_ERROR_H

#include "python_potential.h"

namespace LAMMPS_NS {
class LAMMPS;
}

namespace lammps_mace {

// Collective on LAMMPS's world. Returns when no rank failed; else every rank leaves through error->all with the same
// reason. `stage` orders failures: what failed earlier within a step is the cause, what failed later may follow from it.
// `where` (may be empty) is added to the reason, with the rank.
void raise_on_all(LAMMPS_NS::LAMMPS *lmp, bool failed, int stage, Failure &failure, const std::string &where);

}    // namespace lammps_mace

#endif
