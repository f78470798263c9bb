// How a minimisation ended: LAMMPS tells a pair style through the object itself.
#ifndef LAMMPS_MACE_MINIMIZER_H
#define LAMMPS_MACE_MINIMIZER_H

namespace LAMMPS_NS {
class Update;
}

namespace lammps_mace {

// Whether this was a minimisation whose line search found no way down ("linesearch alpha is zero").
bool minimizer_is_stuck(const LAMMPS_NS::Update &update);

}    // namespace lammps_mace

#endif
