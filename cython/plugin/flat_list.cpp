// LAMMPS's neighbour list, whole, as flat arrays: for a device that keeps it until there is another.
#include "flat_list.h"

#include "ghost_index.h"

#include "atom.h"
#include "neigh_list.h"

using namespace LAMMPS_NS;

namespace lammps_mace {

void FlatList::fill(const Atom &atom, const NeighList &list)
{
  static int64_t lists = 0;
  number = ++lists;
  std::vector<int> counts(atom.nlocal, 0);    // an atom that is not in the list (hybrid) has no neighbours
  for (int k = 0; k < list.inum; k++) counts[list.ilist[k]] = list.numneigh[list.ilist[k]];
  offsets.assign(1, 0);
  for (const int count : counts) offsets.push_back(offsets.back() + count);
  neighbours.resize(offsets.back());
  for (int i = 0; i < atom.nlocal; i++)
    for (int k = 0; k < counts[i]; k++)
      neighbours[offsets[i] + k] = list.firstneigh[i][k] & NEIGHMASK;    // the upper bits mark bonded pairs
}

lammps_mace_list FlatList::view(const Atom &atom, const GhostIndex &ghosts, const std::vector<int32_t> &sent) const
{
  lammps_mace_list given = {};
  given.number = number;
  given.n_atoms = int64_t(ghosts.row_of.size());
  given.n_listed = int64_t(neighbours.size());
  given.n_sent = int64_t(sent.size());
  given.rows = ghosts.row_of.data();
  given.offsets = offsets.data();
  given.neighbours = neighbours.data();
  given.sent = sent.data();
  given.positions = given.n_atoms ? atom.x[0] : nullptr;
  return given;
}

double FlatList::bytes() const
{
  return double(offsets.capacity()) * sizeof(int64_t) + double(neighbours.capacity()) * sizeof(int32_t);
}

}    // namespace lammps_mace
