// The loop over an atom's neighbours in LAMMPS's list.
#ifndef LAMMPS_MACE_NEIGHBOURS_H
#define LAMMPS_MACE_NEIGHBOURS_H

#include "atom.h"
#include "neigh_list.h"

namespace lammps_mace {

// Calls use(j, x_j - x_i) for the neighbours of i inside the cutoff.
template <typename Use>
void each_neighbour(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list, double cutoff, int i, Use use)
{
  double *const *const x = atom.x;
  for (int k = 0; k < list.numneigh[i]; k++) {
    const int j = list.firstneigh[i][k] & NEIGHMASK;    // the upper bits mark bonded pairs
    const double r[3] = {x[j][0] - x[i][0], x[j][1] - x[i][1], x[j][2] - x[i][2]};
    if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] < cutoff * cutoff) use(j, r);
  }
}

}    // namespace lammps_mace

#endif
