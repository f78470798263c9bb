// Which row of features each atom has: one row for an atom of another rank, however many images of it LAMMPS has as ghosts.
#include "ghost_index.h"

#include "atom.h"
#include "neigh_list.h"

#include <algorithm>
#include <tuple>

using namespace LAMMPS_NS;

namespace lammps_mace {
namespace {

  bool operator<(const Owner &a, const Owner &b) { return std::tie(a.rank, a.index) < std::tie(b.rank, b.index); }

  bool operator==(const Owner &a, const Owner &b) { return std::tie(a.rank, a.index) == std::tie(b.rank, b.index); }

}    // namespace

void GhostIndex::assign(const std::vector<Owner> &owner_of, int me, const Atom &atom, const NeighList &list, double reach)
{
  const int64_t n_local = atom.nlocal, n_total = owner_of.size();
  std::vector<char> is_needed(n_total, 0);
  for (int k = 0; k < list.inum; k++) {
    const int i = list.ilist[k];
    const double *const centre = atom.x[i];
    for (int n = 0; n < list.numneigh[i]; n++) {
      const int j = list.firstneigh[i][n] & NEIGHMASK;    // the upper bits mark bonded pairs
      if (owner_of[j].rank == me) continue;
      const double r[3] = {atom.x[j][0] - centre[0], atom.x[j][1] - centre[1], atom.x[j][2] - centre[2]};
      if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] < reach * reach) is_needed[j] = 1;
    }
  }

  owners.clear();
  for (int64_t i = n_local; i < n_total; i++)
    if (is_needed[i]) owners.push_back(owner_of[i]);
  std::sort(owners.begin(), owners.end(), operator<);
  owners.erase(std::unique(owners.begin(), owners.end(), operator==), owners.end());

  row_of.assign(n_total, -1);
  atoms.resize(n_local + owners.size());
  for (int64_t i = 0; i < n_total; i++) {
    const Owner &owner = owner_of[i];
    if (owner.rank == me) {
      row_of[i] = owner.index;
      if (i < n_local) atoms[i] = int32_t(i);
      continue;
    }
    const auto found = std::lower_bound(owners.begin(), owners.end(), owner, operator<);
    if (found == owners.end() || !(*found == owner)) continue;
    row_of[i] = int32_t(n_local + (found - owners.begin()));
    atoms[row_of[i]] = int32_t(i);
  }
}

double GhostIndex::bytes() const
{
  return (row_of.capacity() + atoms.capacity()) * sizeof(int32_t) + owners.capacity() * sizeof(Owner);
}

}    // namespace lammps_mace
