// LAMMPS's neighbour list, whole, as flat arrays: for a device that keeps it until there is another.
#ifndef LAMMPS_MACE_FLAT_LIST_H
#define LAMMPS_MACE_FLAT_LIST_H

#include "../bridge.h"

#include <cstdint>
#include <vector>

namespace LAMMPS_NS {
class Atom;
class NeighList;
}    // namespace LAMMPS_NS

namespace lammps_mace {

struct GhostIndex;

struct FlatList {
  int64_t number = 0;                 // of the list, in this process
  std::vector<int64_t> offsets;       // [n_local + 1]
  std::vector<int32_t> neighbours;    // [n_listed], atoms

  void fill(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list);
  // As the bridge gives it, in this step, without what is asked for and the results.
  lammps_mace_list view(const LAMMPS_NS::Atom &atom, const GhostIndex &ghosts, const std::vector<int32_t> &sent) const;
  double bytes() const;
};

}    // namespace lammps_mace

#endif
